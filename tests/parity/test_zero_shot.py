"""LAMBADA, HellaSwag and perplexity against an independent scoring with ``transformers``."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import tiktoken
import torch

from gpt_core.artifact import Artifact
from gpt_core.config import BenchmarkConfig
from gpt_core.evaluation import run_benchmarks
from gpt_core.interop import import_gpt2
from gpt_core.text import register_source
from gpt_core.tokenizers import GPT2Tokenizer

transformers = pytest.importorskip("transformers")
ROWS = 40


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> tuple[Any, Path]:
    """A small GPT-2 with the released vocabulary and varied weights, saved by ``transformers``."""
    directory = tmp_path_factory.mktemp("release")
    config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=32, n_positions=128)
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(directory)
    for name in ("encoder.json", "vocab.bpe"):
        (directory / name).write_bytes((shared_data / "gpt2" / name).read_bytes())
    return model, directory


@pytest.fixture(scope="module")
def ours(theirs: tuple[Any, Path], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return import_gpt2(theirs[1], tmp_path_factory.mktemp("imported") / "checkpoint")


@pytest.fixture(scope="module")
def encoding(shared_data: Path) -> tiktoken.Encoding:
    return GPT2Tokenizer.from_release(shared_data / "gpt2").to_tiktoken()


@torch.inference_mode()
def score(model: Any, context: list[int], choice: list[int]) -> tuple[float, bool]:
    """The choice's log-probability, and whether greedy decoding would produce it."""
    whole = (context + choice)[-129:]
    logits = model(torch.tensor([whole[:-1]])).logits[0, -len(choice) :]
    found = logits.log_softmax(-1).gather(1, torch.tensor(choice)[:, None]).sum()
    return float(found), logits.argmax(-1).tolist() == choice


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()[:ROWS]]


def benchmark_metrics(
    name: str, file: Path, ours: Artifact, out: Path, **more: Any
) -> dict[str, float]:
    source = register_source(file, out / "raw")
    config = BenchmarkConfig(limit=ROWS, batch_size=7, **more)
    return run_benchmarks(ours, {name: source}, config, out / "report").metrics()  # type: ignore[dict-item]


def test_lambada_metrics_agree(
    theirs: tuple[Any, Path], ours: Artifact, encoding: tiktoken.Encoding, shared_data: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    file = shared_data / "eval" / "lambada_test.jsonl"
    scores = []
    for row in rows_of(file):
        context, _, word = row["text"].rpartition(" ")
        ids = encoding.encode_ordinary(context), encoding.encode_ordinary(f" {word}")
        scores.append(score(theirs[0], *ids))
    metrics = benchmark_metrics("lambada", file, ours, tmp_path)
    assert metrics["lambada_accuracy"] == sum(best for _, best in scores) / ROWS
    perplexity = math.exp(-sum(found for found, _ in scores) / ROWS)
    assert metrics["lambada_perplexity"] == pytest.approx(perplexity, rel=1e-4)


def test_hellaswag_metrics_agree(
    theirs: tuple[Any, Path], ours: Artifact, encoding: tiktoken.Encoding, shared_data: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    file = shared_data / "eval" / "hellaswag_val_1000.jsonl"
    by_sum = by_mean = 0
    for row in rows_of(file):
        context = encoding.encode_ordinary(row["query"])
        choices = [encoding.encode_ordinary(f" {choice}") for choice in row["choices"]]
        n_available = 129 - max(map(len, choices))
        found = [score(theirs[0], context[-n_available:], choice)[0] for choice in choices]
        means = [value / len(choice) for value, choice in zip(found, choices, strict=True)]
        by_sum += found.index(max(found)) == row["gold"]
        by_mean += means.index(max(means)) == row["gold"]
    metrics = benchmark_metrics("hellaswag", file, ours, tmp_path)
    assert metrics["hellaswag_accuracy"] == by_sum / ROWS
    assert metrics["hellaswag_normalized"] == by_mean / ROWS


@torch.inference_mode()
def test_perplexity_of_wikitext_agrees(
    theirs: tuple[Any, Path], ours: Artifact, encoding: tiktoken.Encoding, shared_data: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    text = (shared_data / "wikitext" / "wiki.test.raw").read_text("utf-8")[:30_000]
    (tmp_path / "part.txt").write_text(text, "utf-8")
    ids = torch.tensor([[50_256, *encoding.encode_ordinary(text)]])
    total, previous_end, stride = 0.0, 0, 64
    for begin in range(0, ids.size(1), stride):
        end = min(begin + 129, ids.size(1))
        labels = ids[:, begin:end].clone()
        labels[:, : max(0, previous_end - begin)] = -100
        count = int((labels[:, 1:] != -100).sum())
        total += float(theirs[0](ids[:, begin : end - 1]).logits[0].log_softmax(-1).gather(
            1, ids[0, begin + 1 : end, None]
        )[-count:].double().sum()) if count else 0.0  # fmt: skip
        previous_end = end
        if end == ids.size(1):
            break
    metrics = benchmark_metrics("text", tmp_path / "part.txt", ours, tmp_path, stride=stride)
    expected = math.exp(-total / (ids.size(1) - 1))
    assert metrics["token_perplexity"] == pytest.approx(expected, rel=1e-4)
