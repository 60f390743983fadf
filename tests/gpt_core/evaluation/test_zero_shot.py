"""Batched scores of choices against each choice alone, without a cache."""

import random

import pytest
import torch

from gpt_core.config import GPTConfig
from gpt_core.errors import DataError
from gpt_core.evaluation import score_choices
from gpt_core.evaluation.zero_shot import Question, Score, most_probable, tokenize_question
from gpt_core.models import GPT, build_model
from gpt_core.tokenizers import ByteTokenizer, train_bpe

SHAPE = GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=257, context_length=48)


@pytest.fixture(scope="module")
def model() -> GPT:
    """A model that prefers some tokens to others."""
    model = build_model(SHAPE, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


def random_questions(n: int, choices: int) -> list[Question]:
    rng = random.Random()

    def ids(shortest: int, longest: int) -> tuple[int, ...]:
        return tuple(rng.choices(range(256), k=rng.randint(shortest, longest)))

    return [
        Question(ids(1, 30), tuple(ids(1, 12) for _ in range(choices)), rng.randrange(choices), "")
        for _ in range(n)
    ]


@torch.inference_mode()
def score_alone(model: GPT, context: tuple[int, ...], choice: tuple[int, ...]) -> Score:
    """One choice alone, with its context in one forward pass."""
    ids_ = [*context, *choice]
    logits = model(torch.tensor([ids_[:-1]]))[0, -len(choice) :].double().log_softmax(-1)
    log_probabilities = [float(row[token]) for row, token in zip(logits, choice, strict=True)]
    best = logits.argmax(-1).tolist() == list(choice)
    return Score(sum(log_probabilities), len(choice), best)


@pytest.mark.parametrize("n_choices", [1, 4])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_batched_scores_equal_those_of_each_choice_alone(
    model: GPT, n_choices: int, batch_size: int
) -> None:
    questions = random_questions(40, n_choices)
    scores = score_choices(model, questions, batch_size)
    for question, answers in zip(questions, scores, strict=True):
        for choice, score in zip(question.choices, answers, strict=True):
            expected = score_alone(model, question.context, choice)
            assert score.log_probability == pytest.approx(expected.log_probability, abs=1e-4)
            assert (score.n_tokens, score.greedy) == (expected.n_tokens, expected.greedy)


def test_the_greedy_continuation_is_marked_greedy(model: GPT) -> None:
    context = tuple(b"once upon")
    ids = list(context)
    for _ in range(4):
        ids.append(int(model.next_logits(torch.tensor([ids]))[0].argmax()))
    greedy = tuple(ids[len(context) :])
    other = (*greedy[:-1], (greedy[-1] + 1) % 256)
    [[right, wrong]] = score_choices(model, [Question(context, (greedy, other), 0, "")])
    assert (right.greedy, wrong.greedy) == (True, False)


def test_a_long_context_is_truncated_at_its_beginning(model: GPT) -> None:
    context, choice = tuple(range(100)), (7, 8, 9)
    [[score]] = score_choices(model, [Question(context, (choice,), 0, "")])
    expected = score_alone(model, context[-(48 + 1 - 3) :], choice)
    assert score.log_probability == pytest.approx(expected.log_probability, abs=1e-4)
    with pytest.raises(DataError, match="a choice of 49 tokens does not fit"):
        score_choices(model, [Question((1,), ((1,) * 49,), 0, "a text")])


def test_an_empty_context_becomes_an_end_of_document() -> None:
    question = tokenize_question(ByteTokenizer(), "", ["ab"], gold=0)
    assert question.context == (256,)
    assert question.choices == (tuple(b"ab"),)


def test_a_choice_is_split_from_its_context_or_tokenized_alone_if_a_token_spans_the_boundary() -> (
    None
):
    tokenizer = train_bpe(["abab abab abab"] * 9, 260, "gpt2")
    split = tokenize_question(tokenizer, "ab", [" abab"], gold=0)
    assert [*split.context, *split.choices[0]] == tokenizer.encode("ab abab")
    spanning = tokenize_question(tokenizer, "a", ["b"], gold=0)
    assert tokenizer.encode("ab") != [*tokenizer.encode("a"), *tokenizer.encode("b")]
    assert spanning.choices[0] == tuple(tokenizer.encode("b"))


def test_the_most_probable_choice_is_normalized_by_its_length() -> None:
    assert most_probable([Score(-3.0, 1, False), Score(-4.0, 8, False)]) == 1
    assert most_probable([Score(-3.0, 3, False), Score(-3.0, 3, False)]) == 0
