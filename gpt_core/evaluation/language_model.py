"""Evaluate a language model on held-out text, against a bigram and an untrained model.

Shapes: B batch, T time, V vocabulary.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from gpt_core.artifact import Artifact
from gpt_core.checkpoints import TOKENIZER
from gpt_core.config import DecodingConfig, EvaluationConfig
from gpt_core.data import Batch, ShardReader, sequential_batches
from gpt_core.errors import CheckpointError, DataError
from gpt_core.evaluation.report import write_report
from gpt_core.execution import resolve_device
from gpt_core.files import Progress
from gpt_core.generation import continue_text
from gpt_core.models import (
    GPT,
    BigramLanguageModel,
    build_model,
    evaluating,
    fit_bigram,
    load_model,
    next_token_loss,
    perplexity,
)
from gpt_core.tokenizers import Tokenizer, first_difference, load_tokenizer

_CHUNK = 1 << 20  # tokens read at a time
_MAX_LOGITS = 1 << 27  # computed at once: half a gigabyte in float32
_UNTRAINED_SEED = 0
_UNTRAINED_TOKENS = 65_536  # enough: an untrained model is nearly uniform


def token_loss(
    model: GPT | BigramLanguageModel, batches: Iterable[Batch], device: torch.device | str
) -> tuple[float, int]:
    """Mean loss per target, weighted by tokens: independent of how targets are batched.

    Args:
        model: The language model; its mode (training or evaluation) is restored afterwards.
        batches: Ids and targets; negative targets are excluded.
        device: The model's device.

    Returns:
        Nats per token, and the number of tokens.

    Raises:
        DataError: If all targets are excluded.
    """
    total, count = summed_loss(model, batches, device)
    if count == 0:
        raise DataError("no target counts, so there is no loss to measure: give more text")
    return total / count, count


@torch.inference_mode()
def summed_loss(
    model: GPT | BigramLanguageModel, batches: Iterable[Batch], device: torch.device | str
) -> tuple[float, int]:
    """Total loss in nats, and the number of tokens, which may be 0; see ``token_loss``."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    with evaluating(model):
        for batch in batches:
            for part in _split_rows(batch, model.config.vocab_size or 1):
                logits = model(part.token_ids.to(device))  # (B, T, V)
                loss = next_token_loss(logits, part.targets.to(device), reduction="sum")
                total += loss.double().cpu()
                count += int((part.targets >= 0).sum())
    return total.item(), count


def evaluate_language_model(
    checkpoint: Artifact,
    shards: Artifact,
    config: EvaluationConfig,
    decoding: DecodingConfig,
    out_dir: Path,
    *,
    progress: Progress | None = None,
) -> Artifact:
    """Measure loss, perplexity and bits per byte on a split, and generate samples.

    Every token but the first is a target once. A bigram model counted on the training split and
    an untrained model of the same shape are evaluated as baselines. Bits per byte divide the total
    loss by the UTF-8 bytes of the targets; an end of document has no bytes, but its loss counts.

    Args:
        checkpoint: The language model: pretrained, imported or tuned on instructions.
        shards: Text encoded with the same tokenizer.
        config: The split, the number of tokens, and the prompts of the samples.
        decoding: Decoding of the samples.
        out_dir: Directory of the report.
        progress: Receives ``tokens`` evaluated.

    Returns:
        A report artifact with the metrics and the table ``samples``.

    Raises:
        ConfigError: If the device is not available.
        DataError: If the shards have another tokenizer, or no text in this split.
        CheckpointError: If the checkpoint is damaged or a classifier's, or its loss is not finite.
    """
    model = load_model(checkpoint.directory, resolve_device(config.device))
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    _require_same_tokenizer(checkpoint, shards, tokenizer)
    metrics = _metrics(model, tokenizer, shards, config, progress)
    if not math.isfinite(metrics["loss"]):
        raise CheckpointError(
            f"{checkpoint.path} gives a loss that is not a number: its weights are damaged, use an "
            "earlier checkpoint"
        )
    samples = [
        {"prompt": prompt, "text": "".join(continue_text(model, tokenizer, prompt, decoding))}
        for prompt in config.prompts
    ]
    settings, parents = (config, decoding), (checkpoint, shards)
    return write_report(out_dir, metrics, {"samples": samples}, config=settings, parents=parents)


def _metrics(
    model: GPT,
    tokenizer: Tokenizer,
    shards: Artifact,
    config: EvaluationConfig,
    progress: Progress | None,
) -> dict[str, float]:
    reader = ShardReader(shards.directory, config.split)
    n_targets = min(reader.n_tokens - 1, config.max_tokens or reader.n_tokens)
    if n_targets < 1:
        raise DataError(
            f"{shards.path} has no {config.split} text to evaluate on: raise "
            f"cleaning.{config.split}_share"
        )
    T, B, device = model.config.context_length, config.batch_size, model.wte.weight.device
    batches = sequential_batches(reader, T, B, n_targets)
    loss, _ = token_loss(model, _with_progress(batches, n_targets, progress), device)
    first_batches = sequential_batches(reader, T, B, min(n_targets, _UNTRAINED_TOKENS))
    untrained = build_model(model.config, _UNTRAINED_SEED).to(device)
    n_bytes, bigram_loss = _bytes_and_bigram_loss(reader, n_targets, tokenizer, shards)
    return {
        "loss": loss,
        "perplexity": perplexity(loss),
        "bits_per_byte": loss * n_targets / max(1, n_bytes) / math.log(2),
        "bigram_loss": bigram_loss,
        "bigram_perplexity": perplexity(bigram_loss),
        "untrained_loss": token_loss(untrained, first_batches, device)[0],
        "tokens": float(n_targets),
        "bytes": float(n_bytes),
    }


def _bytes_and_bigram_loss(
    reader: ShardReader, n_targets: int, tokenizer: Tokenizer, shards: Artifact
) -> tuple[int, float]:
    """UTF-8 bytes of the targets, and a bigram model's mean loss on them in nats."""
    bigram = fit_bigram(_chunks(ShardReader(shards.directory, "train")), reader.vocab_size)
    sizes = np.array([len(tokenizer.token_bytes(i)) for i in range(tokenizer.vocab_size)])
    n_bytes, nats = 0, 0.0
    for start in range(0, n_targets, _CHUNK):
        ids = reader.read(start, min(_CHUNK, n_targets - start) + 1).astype(np.int64)
        n_bytes += int(sizes[ids[1:]].sum())
        nats += bigram.loss(ids[:-1], ids[1:]) * (len(ids) - 1)
    return n_bytes, nats / n_targets


def _require_same_tokenizer(checkpoint: Artifact, shards: Artifact, tokenizer: Tokenizer) -> None:
    """Raise DataError unless checkpoint and shards use the same tokenizer."""
    difference = first_difference(tokenizer, load_tokenizer(shards.directory / TOKENIZER))
    if difference is not None:
        raise DataError(
            f"{checkpoint.path} and {shards.path} have different tokenizers ({difference}): encode "
            "the corpus with the checkpoint's tokenizer"
        )


def _split_rows(batch: Batch, vocab_size: int) -> Iterator[Batch]:
    """Split a batch so that the logits of each part stay below ``_MAX_LOGITS``."""
    rows = max(1, _MAX_LOGITS // (batch.token_ids.size(1) * vocab_size))
    for start in range(0, len(batch.token_ids), rows):
        yield Batch(batch.token_ids[start : start + rows], batch.targets[start : start + rows])


def _chunks(reader: ShardReader) -> Iterator[np.ndarray]:
    for start in range(0, reader.n_tokens, _CHUNK):
        yield reader.read(start, _CHUNK)


def _with_progress(
    batches: Iterator[Batch], n_targets: int, progress: Progress | None
) -> Iterator[Batch]:
    done = 0
    for batch in batches:
        yield batch
        done += batch.token_ids.numel()
        if progress is not None:
            progress("tokens", min(done, n_targets), n_targets)
