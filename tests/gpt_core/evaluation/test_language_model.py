"""Losses on held-out text against losses computed by hand and by counting."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt_core.artifact import Artifact, read_artifact
from gpt_core.config import (
    CleaningConfig,
    DecodingConfig,
    EvaluationConfig,
    GPTConfig,
    ReadingConfig,
    ShardConfig,
    TokenizerConfig,
)
from gpt_core.data import Batch, ShardReader, encode_corpus, sequential_batches
from gpt_core.errors import CheckpointError, ConfigError, DataError
from gpt_core.evaluation import REPORT, evaluate_language_model, language_model, token_loss
from gpt_core.files import read_json
from gpt_core.models import GPT, build_model
from gpt_core.text import clean_corpus, register_source
from gpt_core.tokenizers import train_tokenizer

SHAPE = GPTConfig(n_layer=1, n_head=2, n_embd=16, vocab_size=257, context_length=24)
DECODING = DecodingConfig(max_new_tokens=5)
FEW = EvaluationConfig(max_tokens=700, batch_size=4)


@pytest.fixture(scope="module")
def model() -> GPT:
    """A model that prefers some tokens to others, so that losses differ."""
    model = build_model(SHAPE, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


@pytest.fixture(scope="module")
def checkpoint(
    model: GPT, byte_tokenizer: Artifact, write_checkpoint: Callable[..., Artifact]
) -> Artifact:
    return write_checkpoint(model, byte_tokenizer, kind="imported")


def batches(shards: Artifact, batch_size: int = 4, max_tokens: int = 700) -> Iterator[Batch]:
    reader = ShardReader(shards.directory, "test")
    return sequential_batches(reader, SHAPE.context_length, batch_size, max_tokens)


@torch.inference_mode()
def test_the_loss_is_the_mean_over_all_targets(model: GPT, shards: Artifact) -> None:
    losses = []
    for batch in batches(shards):
        logs = model(batch.token_ids).log_softmax(dim=-1)
        for row, targets in zip(logs, batch.targets, strict=True):
            losses += [-float(row[t, i]) for t, i in enumerate(targets) if i >= 0]
    loss, n_tokens = token_loss(model, batches(shards), "cpu")
    assert n_tokens == len(losses) == 700
    assert loss == pytest.approx(sum(losses) / len(losses), abs=1e-5)


def test_the_loss_does_not_depend_on_the_batches(
    model: GPT, shards: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one, n_tokens = token_loss(model, batches(shards, batch_size=64), "cpu")
    assert token_loss(model, batches(shards, batch_size=1), "cpu") == (
        pytest.approx(in_one, abs=1e-5),
        n_tokens,
    )
    monkeypatch.setattr(language_model, "_MAX_LOGITS", 3 * 24 * 257)  # three rows at once
    in_parts, _ = token_loss(model, batches(shards, batch_size=64), "cpu")
    assert in_parts == pytest.approx(in_one, abs=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_is_without_dropout_and_restores_the_mode(
    shards: Artifact, training: bool
) -> None:
    model = build_model(replace(SHAPE, dropout=0.5), seed=1).train(training)
    assert token_loss(model, batches(shards), "cpu") == token_loss(model, batches(shards), "cpu")
    assert model.training == training


def test_a_loss_without_targets_is_refused(model: GPT) -> None:
    empty = Batch(torch.zeros(1, 3, dtype=torch.long), torch.full((1, 3), -100))
    with pytest.raises(DataError, match="no target counts"):
        token_loss(model, [empty], "cpu")


def test_metrics_of_a_uniform_model_follow_from_its_vocabulary(
    shards: Artifact,
    byte_tokenizer: Artifact,
    write_checkpoint: Callable[..., Artifact],
    tmp_path: Path,
) -> None:
    model = build_model(SHAPE, seed=1)
    with torch.no_grad():
        model.wte.weight.zero_()
    checkpoint = write_checkpoint(model, byte_tokenizer)
    report = evaluate_language_model(checkpoint, shards, FEW, DECODING, tmp_path / "r").metrics()
    ids = ShardReader(shards.directory, "test").read(1, 700)
    n_bytes = int((ids < 256).sum())
    assert 0 < n_bytes < 700  # the ends of documents have no bytes
    assert report["tokens"] == 700
    assert report["bytes"] == n_bytes
    assert report["loss"] == pytest.approx(math.log(257), abs=1e-5)
    assert report["perplexity"] == pytest.approx(257, rel=1e-4)
    assert report["bits_per_byte"] == pytest.approx(math.log2(257) * 700 / n_bytes, rel=1e-5)
    assert report["untrained_loss"] == pytest.approx(math.log(257), abs=0.1)


def test_the_bigram_loss_equals_that_of_counts(
    checkpoint: Artifact, shards: Artifact, tmp_path: Path
) -> None:
    train = ShardReader(shards.directory, "train")
    seen = train.read(0, train.n_tokens).tolist()
    pairs, firsts, single = Counter(pairwise(seen)), Counter(seen[:-1]), Counter(seen)
    followers = Counter(first for first, _ in pairs)
    ids = ShardReader(shards.directory, "test").read(0, 701).tolist()
    nats = 0.0
    for a, b in pairwise(ids):
        unigram = (single[b] + 1) / (len(seen) + 257)
        kinds = followers[a] or 1
        nats -= math.log((pairs[a, b] + kinds * unigram) / (firsts[a] + kinds))
    report = evaluate_language_model(checkpoint, shards, FEW, DECODING, tmp_path / "r")
    assert report.metrics()["bigram_loss"] == pytest.approx(nats / 700, rel=1e-9)


def test_a_report_has_one_sample_per_prompt_and_progress_is_reported(
    checkpoint: Artifact, shards: Artifact, tmp_path: Path
) -> None:
    received: list[tuple[str, int, int | None]] = []
    config = replace(FEW, prompts=("ab", ""))
    made = [
        evaluate_language_model(
            checkpoint,
            shards,
            config,
            DECODING,
            tmp_path / name,
            progress=lambda *event: received.append(event),
        )
        for name in ("one", "two")
    ]
    content = read_json(made[0].directory / REPORT)
    assert [sample["prompt"] for sample in content["samples"]] == ["ab", ""]
    assert content["metrics"] == made[0].metrics() == made[1].metrics()
    assert received[-1] == ("tokens", 700, 700)
    assert received == sorted(received[: len(received) // 2]) * 2


def test_the_entire_split_is_evaluated_by_default(
    checkpoint: Artifact, shards: Artifact, tmp_path: Path
) -> None:
    config = EvaluationConfig(split="validation")
    report = evaluate_language_model(checkpoint, shards, config, DECODING, tmp_path / "r")
    assert report.metrics()["tokens"] == ShardReader(shards.directory, "validation").n_tokens - 1


def test_shards_with_another_vocabulary_size_are_refused(
    corpus: Artifact, checkpoint: Artifact, tmp_path: Path
) -> None:
    tokenizer = train_tokenizer(corpus, TokenizerConfig(vocab_size=300), tmp_path / "tokenizer")
    shards = encode_corpus(corpus, tokenizer, ShardConfig(workers=1), tmp_path / "shards")
    sentence = "have different tokenizers (257 and 300 tokens): encode the corpus"
    with pytest.raises(DataError, match=re.escape(sentence)):
        evaluate_language_model(checkpoint, shards, FEW, DECODING, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_shards_with_another_vocabulary_of_the_same_size_are_refused(
    corpus: Artifact, write_checkpoint: Callable[..., Artifact], tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("\n\n".join(f"{n} qrstuvwxyz zyxwv {n % 7}" * 5 for n in range(300)))
    raw = register_source(other, tmp_path / "raw")
    documents = clean_corpus(raw, ReadingConfig(), CleaningConfig(), tmp_path / "documents")
    config = TokenizerConfig(vocab_size=290)
    tokenizers = [
        train_tokenizer(text, config, tmp_path / f"tokenizer{i}")
        for i, text in enumerate((corpus, documents))
    ]
    model = build_model(replace(SHAPE, vocab_size=290), seed=1)
    checkpoint = write_checkpoint(model, tokenizers[0])
    shards = encode_corpus(corpus, tokenizers[1], ShardConfig(workers=1), tmp_path / "shards")
    with pytest.raises(DataError, match=r"different tokenizers \(token \d+ is not the same\)"):
        evaluate_language_model(checkpoint, shards, FEW, DECODING, tmp_path / "r")


def test_shards_without_held_out_text_are_refused(
    checkpoint: Artifact, byte_tokenizer: Artifact, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("\n\n".join(f"line {n} of text" for n in range(30)))
    raw = register_source(tmp_path / "text.txt", tmp_path / "raw")
    cleaning = CleaningConfig(test_share=0.0)
    documents = clean_corpus(raw, ReadingConfig(), cleaning, tmp_path / "documents")
    shards = encode_corpus(documents, byte_tokenizer, ShardConfig(workers=1), tmp_path / "shards")
    with pytest.raises(DataError, match=r"no test text to evaluate on: raise cleaning\.test_share"):
        evaluate_language_model(checkpoint, shards, FEW, DECODING, tmp_path / "r")


def test_a_loss_that_is_not_finite_is_refused(
    model: GPT,
    shards: Artifact,
    byte_tokenizer: Artifact,
    write_checkpoint: Callable[..., Artifact],
    tmp_path: Path,
) -> None:
    checkpoint = write_checkpoint(model, byte_tokenizer)
    file = checkpoint.directory / "model.safetensors"
    tensors = load_file(file)
    tensors["ln_f.bias"] = torch.full_like(tensors["ln_f.bias"], math.nan)
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match="gives a loss that is not a number"):
        evaluate_language_model(checkpoint, shards, FEW, DECODING, tmp_path / "r")


def test_a_directory_that_is_not_a_checkpoint_is_refused(shards: Artifact, tmp_path: Path) -> None:
    wrong = read_artifact(shards.directory)
    with pytest.raises(CheckpointError, match="is not a checkpoint of gptflow"):
        evaluate_language_model(wrong, shards, FEW, DECODING, tmp_path / "r")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_an_unavailable_device_is_refused(
    checkpoint: Artifact, shards: Artifact, tmp_path: Path
) -> None:
    config = replace(FEW, device="cuda")
    with pytest.raises(ConfigError, match="this machine has no cuda device"):
        evaluate_language_model(checkpoint, shards, config, DECODING, tmp_path / "r")


def test_the_logits_of_a_part_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch(torch.arange(35).view(7, 5), torch.arange(35).view(7, 5) + 1)
    monkeypatch.setattr(language_model, "_MAX_LOGITS", 3 * 5 * 11 + 1)
    parts = list(language_model._split_rows(batch, vocab_size=11))
    assert [len(part.token_ids) for part in parts] == [3, 3, 1]
    assert torch.equal(torch.cat([part.targets for part in parts]), batch.targets)
    monkeypatch.setattr(language_model, "_MAX_LOGITS", 1)
    assert len(list(language_model._split_rows(batch, vocab_size=11))) == 7


def test_one_token_is_enough_to_evaluate_on(
    checkpoint: Artifact, shards: Artifact, tmp_path: Path
) -> None:
    config = replace(FEW, max_tokens=1)
    report = evaluate_language_model(checkpoint, shards, config, DECODING, tmp_path / "r")
    assert report.metrics()["tokens"] == 1
