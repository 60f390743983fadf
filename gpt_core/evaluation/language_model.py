"""How well a model predicts held-out text, against the simplest one and an untrained one.

Shapes: B batch, T time.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from gpt_core.artifact import Artifact
from gpt_core.config import DecodingConfig, EvaluationConfig
from gpt_core.data import TOKENIZER, Batch, ShardReader, sequential_batches
from gpt_core.errors import DataError
from gpt_core.evaluation.report import write_report
from gpt_core.files import Progress
from gpt_core.generation import continue_text
from gpt_core.models import GPT, build_model, fit_bigram, load_model, next_token_loss
from gpt_core.tokenizers import Tokenizer, load_tokenizer

_CHUNK = 1 << 20  # tokens counted at a time
_UNTRAINED_SEED = 0
_UNTRAINED_TOKENS = 65_536  # enough: an untrained model is about uniform


@torch.inference_mode()
def token_loss(
    model: GPT, batches: Iterable[Batch], device: torch.device | str
) -> tuple[float, int]:
    """Mean loss of the targets that count.

    Args:
        model: The language model; it is left in the mode it came in.
        batches: Ids and targets.
        device: Where the model is.

    Returns:
        Nats a token, and the number of tokens.

    Raises:
        DataError: If no target counts.
    """
    was_training = model.training
    model.eval()
    total, count = torch.zeros((), dtype=torch.float64), 0
    for batch in batches:
        logits = model(batch.token_ids.to(device))  # (B, T, V)
        loss = next_token_loss(logits, batch.targets.to(device), reduction="sum")
        total += loss.double().cpu()
        count += int((batch.targets >= 0).sum())
    model.train(was_training)
    if count == 0:
        raise DataError("there is no held-out text to evaluate on: raise cleaning.validation_share")
    return total.item() / count, count


def evaluate_language_model(
    checkpoint: Artifact,
    shards: Artifact,
    config: EvaluationConfig,
    decoding: DecodingConfig,
    out_dir: Path,
    *,
    progress: Progress | None = None,
) -> Artifact:
    """Loss, perplexity and bits per byte, beside a bigram's and an untrained model's; samples.

    Args:
        checkpoint: The language model.
        shards: Text encoded with the same tokenizer.
        config: Which part of it, how much, and the prompts.
        decoding: How the samples are decoded.
        out_dir: Where the report goes.
        progress: Told of ``tokens``.

    Returns:
        A report artifact.

    Raises:
        DataError: If the shards were made with another vocabulary or have no such text.
    """
    device = torch.device(_device(config))
    model = load_model(checkpoint.directory, device)
    reader = ShardReader(shards.directory, config.split)
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    _require_same_tokenizer(checkpoint, shards, tokenizer, reader)

    def batches() -> Iterator[Batch]:
        T = model.config.context_length
        return sequential_batches(reader, T, config.batch_size, config.max_tokens)

    loss, n_tokens = token_loss(model, _watched(batches(), progress), device)
    ids = reader.read(0, n_tokens + 1)
    n_bytes = sum(len(tokenizer.token_bytes(int(i))) for i in ids[1:])
    bigram = fit_bigram(_chunks(ShardReader(shards.directory, "train")), reader.vocab_size)
    bigram_loss = bigram.loss(ids[:-1].astype(np.int64), ids[1:].astype(np.int64))
    untrained = build_model(model.config, _UNTRAINED_SEED).to(device)
    few = sequential_batches(
        reader, model.config.context_length, config.batch_size, min(n_tokens, _UNTRAINED_TOKENS)
    )
    metrics = {
        "loss": loss,
        "perplexity": math.exp(loss),
        "bits_per_byte": loss * n_tokens / max(1, n_bytes) / math.log(2),
        "bigram_loss": bigram_loss,
        "bigram_perplexity": math.exp(bigram_loss),
        "untrained_loss": token_loss(untrained, few, device)[0],
        "tokens": float(n_tokens),
    }
    samples = [
        {"prompt": prompt, "text": "".join(continue_text(model, tokenizer, prompt, decoding))}
        for prompt in config.prompts
    ]
    settings = (config, decoding)
    return write_report(
        out_dir, metrics, {"samples": samples}, config=settings, parents=[checkpoint, shards]
    )


def _require_same_tokenizer(
    checkpoint: Artifact, shards: Artifact, tokenizer: Tokenizer, reader: ShardReader
) -> None:
    """Losses on ids that mean something else would be figures without a meaning."""
    other = load_tokenizer(shards.directory / TOKENIZER)
    sample = list(range(min(tokenizer.vocab_size, other.vocab_size)))
    same = tokenizer.vocab_size == other.vocab_size == reader.vocab_size and all(
        tokenizer.token_bytes(i) == other.token_bytes(i) for i in sample
    )
    if not same:
        raise DataError(
            f"{checkpoint.path} and {shards.path} have different tokenizers: encode the corpus "
            "with the checkpoint's tokenizer"
        )


def _device(config: EvaluationConfig) -> str:
    if config.device != "auto":
        return config.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _chunks(reader: ShardReader) -> Iterator[np.ndarray]:
    for start in range(0, reader.n_tokens, _CHUNK):
        yield reader.read(start, _CHUNK)


def _watched(batches: Iterator[Batch], progress: Progress | None) -> Iterator[Batch]:
    done = 0
    for batch in batches:
        yield batch
        done += batch.token_ids.numel()
        if progress is not None:
            progress("tokens", done, None)
