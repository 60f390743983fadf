"""Scores of choices, beside those of the plainest computation."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.config import BenchmarkConfig, GPTConfig
from gpt_core.errors import DataError
from gpt_core.evaluation import (
    REPORT,
    compare_reports,
    read_hellaswag,
    read_lambada,
    run_benchmarks,
    score_choices,
)
from gpt_core.evaluation.zero_shot import Question, Score, hellaswag_metrics, lambada_metrics
from gpt_core.files import read_json
from gpt_core.models import GPT, build_model
from gpt_core.text import register_source
from gpt_core.tokenizers import ByteTokenizer

SHAPE = GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=257, context_length=48)
BYTES = ByteTokenizer()


@pytest.fixture(scope="module")
def model() -> GPT:
    """A model that prefers some tokens to others."""
    model = build_model(SHAPE, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


def drawn_questions(n: int, choices: int) -> list[Question]:
    draw = random.Random()

    def ids(shortest: int, longest: int) -> tuple[int, ...]:
        return tuple(draw.choices(range(256), k=draw.randint(shortest, longest)))

    return [
        Question(ids(1, 30), tuple(ids(1, 12) for _ in range(choices)), draw.randrange(choices), "")
        for _ in range(n)
    ]


@torch.inference_mode()
def plainly(model: GPT, context: tuple[int, ...], choice: tuple[int, ...]) -> Score:
    """One choice alone, the whole text at once."""
    whole = [*context, *choice]
    logits = model(torch.tensor([whole[:-1]]))[0, -len(choice) :].double().log_softmax(-1)
    found = [float(row[token]) for row, token in zip(logits, choice, strict=True)]
    best = logits.argmax(-1).tolist() == list(choice)
    return Score(sum(found), len(choice), best)


@pytest.mark.parametrize("n_choices", [1, 4])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_scores_are_those_of_each_choice_alone(model: GPT, n_choices: int, batch_size: int) -> None:
    questions = drawn_questions(40, n_choices)
    scores = score_choices(model, questions, batch_size)
    for question, answers in zip(questions, scores, strict=True):
        for choice, score in zip(question.choices, answers, strict=True):
            expected = plainly(model, question.context, choice)
            assert score.log_probability == pytest.approx(expected.log_probability, abs=1e-4)
            assert (score.n_tokens, score.greedy) == (expected.n_tokens, expected.greedy)


def test_what_the_model_would_write_is_greedy(model: GPT) -> None:
    context = tuple(b"once upon")
    ids = list(context)
    for _ in range(4):
        ids.append(int(model.next_logits(torch.tensor([ids]))[0].argmax()))
    written = tuple(ids[len(context) :])
    other = (*written[:-1], (written[-1] + 1) % 256)
    [[right, wrong]] = score_choices(model, [Question(context, (written, other), 0, "")])
    assert (right.greedy, wrong.greedy) == (True, False)


def test_a_long_context_loses_its_beginning(model: GPT) -> None:
    context, choice = tuple(range(100)), (7, 8, 9)
    [[score]] = score_choices(model, [Question(context, (choice,), 0, "")])
    expected = plainly(model, context[-(48 + 1 - 3) :], choice)
    assert score.log_probability == pytest.approx(expected.log_probability, abs=1e-4)
    with pytest.raises(DataError, match="a choice of 49 tokens does not fit"):
        score_choices(model, [Question((1,), ((1,) * 49,), 0, "a text")])


def test_figures_of_known_scores() -> None:
    figures = lambada_metrics([[Score(-1.0, 2, True)], [Score(-3.0, 1, False)]])
    assert figures["lambada_accuracy"] == 0.5
    assert figures["lambada_perplexity"] == pytest.approx(2.718281828**2)
    long, short = Score(-4.0, 8, False), Score(-3.0, 1, False)
    questions = [Question((1,), ((1,), (1,)), 0, "")] * 2
    counted = hellaswag_metrics(questions, [[long, short], [short, long]])
    assert counted == {"hellaswag_accuracy": 0.5, "hellaswag_normalized": 0.5}
    assert hellaswag_metrics(questions, [[long, short]] * 2)["hellaswag_normalized"] == 1.0


def lines(file: Path, *rows: object) -> Path:
    file.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return file


def test_lambada_asks_for_the_last_word(tmp_path: Path) -> None:
    [question] = read_lambada(lines(tmp_path / "l.jsonl", {"text": "He said\n\nno more"}), BYTES)
    assert bytes(question.context) == b"He said\n\nno"
    assert [bytes(choice) for choice in question.choices] == [b" more"]


def test_both_forms_of_hellaswag_are_read_alike(tmp_path: Path) -> None:
    ours = lines(tmp_path / "a", {"query": "A man", "choices": ["sits.", "runs."], "gold": 1})
    theirs = lines(tmp_path / "b", {"ctx": "A man", "endings": ["sits.", "runs."], "label": 1})
    [question] = read_hellaswag(ours, BYTES)
    assert [question] == read_hellaswag(theirs, BYTES)
    assert [bytes(choice) for choice in question.choices] == [b" sits.", b" runs."]
    assert question.gold == 1


@pytest.mark.parametrize(
    ("read", "row", "sentence"),
    [
        (read_lambada, {"txt": "a b"}, "line 1: 'text' must be a passage"),
        (read_lambada, {"text": "word"}, "line 1: 'text' must be a passage"),
        (read_hellaswag, {"ctx": "a", "endings": ["b"]}, "line 1: there is no 'label'"),
        (read_hellaswag, {"query": "a", "choices": ["b"], "gold": 4}, "line 1: there is no choice"),
        (read_lambada, ["a"], "line 1 is not a JSON object"),
    ],
)
def test_a_row_of_another_form_is_named(
    tmp_path: Path, read: Callable[..., object], row: object, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        read(lines(tmp_path / "file.jsonl", row), BYTES)


@pytest.fixture
def checkpoint(
    model: GPT, byte_tokenizer: Artifact, write_checkpoint: Callable[..., Artifact]
) -> Artifact:
    return write_checkpoint(model, byte_tokenizer)


def test_a_checkpoint_is_measured_on_what_is_given(checkpoint: Artifact, tmp_path: Path) -> None:
    passages = [{"text": f"they said the number {n} again and again"} for n in range(30)]
    sources = {
        "lambada": register_source(lines(tmp_path / "l.jsonl", *passages), tmp_path / "lambada"),
        "text": register_source(lines(tmp_path / "t.txt", "a text"), tmp_path / "text"),
    }
    config = BenchmarkConfig(checkpoints=("this",), limit=25, stride=16)
    report = run_benchmarks(checkpoint, sources, config, tmp_path / "report")
    figures = report.metrics()
    names = {"lambada_accuracy", "lambada_perplexity", "token_perplexity", "word_perplexity"}
    assert figures.keys() == names | {"bits_per_byte", "text_tokens"}
    rows = read_json(report.directory / REPORT)["lambada"]
    assert {row["expected"] for row in rows} == {" again"}
    made = compare_reports([report, report], "checkpoints", tmp_path / "both", column="checkpoint")
    compared = read_json(made.directory / REPORT)["checkpoints"]
    assert compared == [{"checkpoint": "this", **figures}] * 2


def test_nothing_to_measure_on_is_one_sentence(checkpoint: Artifact, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no benchmark is given"):
        run_benchmarks(checkpoint, {}, BenchmarkConfig(), tmp_path / "report")
    empty = register_source(lines(tmp_path / "l.jsonl", {"text": "a b"}), tmp_path / "raw")
    (tmp_path / "l.jsonl").write_text(" " * (tmp_path / "l.jsonl").stat().st_size)
    with pytest.raises(DataError, match="has no question in it"):
        run_benchmarks(checkpoint, {"lambada": empty}, BenchmarkConfig(), tmp_path / "report")
    assert not (tmp_path / "report").exists()
