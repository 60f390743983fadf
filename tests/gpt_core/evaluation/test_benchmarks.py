"""A checkpoint on the benchmarks that are configured."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.config import Benchmark, BenchmarkConfig, GPTConfig
from gpt_core.errors import DataError
from gpt_core.evaluation import REPORT, benchmarks, detokenize_wikitext, run_benchmarks
from gpt_core.evaluation.perplexity import text_metrics
from gpt_core.files import read_json
from gpt_core.models import GPT, build_model
from gpt_core.text import register_source
from gpt_core.tokenizers import ByteTokenizer

SHAPE = GPTConfig(n_layer=1, n_head=2, n_embd=16, vocab_size=257, context_length=48)


@pytest.fixture(scope="module")
def model() -> GPT:
    """A model that prefers some tokens to others."""
    model = build_model(SHAPE, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


@pytest.fixture(scope="module")
def checkpoint(
    model: GPT, byte_tokenizer: Artifact, write_checkpoint: Callable[..., Artifact]
) -> Artifact:
    return write_checkpoint(model, byte_tokenizer)


def source(directory: Path, *rows: object) -> Artifact:
    """A registered file with a JSON value per line, or with one text."""
    directory.mkdir()
    content = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    (directory / "file").write_text(content, "utf-8")
    return register_source(directory / "file", directory / "raw")


def test_every_benchmark_has_a_setting_and_a_runner() -> None:
    settings = {field.name for field in fields(BenchmarkConfig)}
    assert set(get_args(Benchmark)) <= settings
    assert set(get_args(Benchmark)) == benchmarks._RUNNERS.keys()


def test_a_report_has_the_metrics_and_examples_of_each_benchmark(
    checkpoint: Artifact, tmp_path: Path
) -> None:
    passages = [{"text": f"they said the number {n} again and again"} for n in range(30)]
    items = [{"ctx": f"item {n}", "endings": ["ab", "c"], "label": n % 2} for n in range(30)]
    sources: dict[Benchmark, Artifact] = {
        "lambada": source(tmp_path / "lambada", *passages),
        "hellaswag": source(tmp_path / "hellaswag", *items),
        "text": source(tmp_path / "text", "a text"),
    }
    config = BenchmarkConfig(limit=25, stride=16)
    report = run_benchmarks(checkpoint, sources, config, tmp_path / "report")
    assert report.metrics().keys() == {
        "lambada_accuracy", "lambada_perplexity", "hellaswag_accuracy", "hellaswag_normalized",
        "token_perplexity", "word_perplexity", "bits_per_byte", "text_tokens",
    }  # fmt: skip
    content = read_json(report.directory / REPORT)
    assert content.keys() == {"metrics", "lambada", "hellaswag"}
    lambada, hellaswag = content["lambada"], content["hellaswag"]
    assert {row["expected"] for row in lambada} == {" again"}
    assert {row["expected"] for row in hellaswag} == {" ab", " c"}
    right = [row["right"] for row in hellaswag]
    assert right == sorted(right, reverse=True), "correct examples first"
    assert max(right.count(True), right.count(False)) == 10
    for row in hellaswag:
        assert row["right"] == (row["preferred"] == row["expected"])
        assert 0 < row["probability"] < 1


def test_the_limit_is_of_questions(
    checkpoint: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lambada = source(tmp_path / "l", *({"text": f"question {n}"} for n in range(9)))
    received: list[tuple[str, int, int | None]] = []
    run_benchmarks(
        checkpoint,
        {"lambada": lambada},
        BenchmarkConfig(limit=7),
        tmp_path / "report",
        progress=lambda *event: received.append(event),
    )
    assert received[-1] == ("questions", 7, 7)


@pytest.mark.parametrize("stride", [16, 512])
def test_a_detokenized_text_is_divided_by_the_words_before(
    checkpoint: Artifact, model: GPT, tmp_path: Path, stride: int
) -> None:
    raw = "It was 1 @,@ 500 m ( 5 ft ) , they say . " * 3
    expected = text_metrics(
        model,
        ByteTokenizer(),
        detokenize_wikitext(raw),
        stride=min(stride, SHAPE.context_length),
        n_words=len(raw.split()),
    )
    config = BenchmarkConfig(detokenize="wikitext", stride=stride)
    sources: dict[Benchmark, Artifact] = {"text": source(tmp_path / "text", raw)}
    found = run_benchmarks(checkpoint, sources, config, tmp_path / "report").metrics()
    assert found == pytest.approx(expected, rel=1e-5)


def test_no_benchmark_or_no_question_is_refused(checkpoint: Artifact, tmp_path: Path) -> None:
    sentence = "no benchmark is given: set benchmarks.lambada, hellaswag or text"
    with pytest.raises(DataError, match=sentence):
        run_benchmarks(checkpoint, {}, BenchmarkConfig(), tmp_path / "report")
    empty = source(tmp_path / "l", "   ")
    with pytest.raises(DataError, match="has no question in it"):
        run_benchmarks(checkpoint, {"lambada": empty}, BenchmarkConfig(), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_text_that_is_not_utf8_is_refused(checkpoint: Artifact, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"ab\xff")
    text = register_source(tmp_path / "file", tmp_path / "raw")
    with pytest.raises(DataError, match="is not UTF-8 text: byte 2 cannot be read"):
        run_benchmarks(checkpoint, {"text": text}, BenchmarkConfig(), tmp_path / "report")
