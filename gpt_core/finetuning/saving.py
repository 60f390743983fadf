"""Load the model to fine-tune; save the result as a checkpoint that every reader opens."""

import os
from functools import partial

from torch import nn

from gpt_core.artifact import Artifact, Draft
from gpt_core.checkpoints import ADAPTER, TOKENIZER, CheckpointDescription, write_checkpoint
from gpt_core.config import LoRAConfig
from gpt_core.finetuning.lora import TrainedAdapter, adapter_metrics
from gpt_core.models import (
    GPT,
    AdapterDescription,
    load_model,
    save_weights,
    weights_fingerprint,
    write_adapter,
)
from gpt_core.tokenizers import Tokenizer, load_tokenizer


def load_base(checkpoint: Artifact) -> tuple[GPT, Tokenizer]:
    """The language model to fine-tune, on the CPU, and its tokenizer.

    Raises:
        CheckpointError: If the checkpoint is damaged or a classifier's.
    """
    body = load_model(checkpoint.directory)
    return body, load_tokenizer(checkpoint.directory / TOKENIZER)


def write_finetuned(
    draft: Draft,
    model: nn.Module,
    tokenizer: Tokenizer,
    description: CheckpointDescription,
    adapter: TrainedAdapter | None,
    base: Artifact,
    lora: LoRAConfig,
) -> None:
    """Write weights, tokenizer, description and the adapter, if there is one.

    Args:
        draft: The unfinished checkpoint; its metrics receive the size of the adapter.
        model: The model with its adapter merged.
        tokenizer: The model's tokenizer.
        description: The content of ``config.json``.
        adapter: The adapter by itself, for the weights of ``base``.
        base: The checkpoint that was fine-tuned.
        lora: With ``merge=false`` the adapter is saved without the weights.
    """
    alone = adapter is not None and not lora.merge
    write_checkpoint(
        draft,
        description,
        save_weights=None if alone else partial(save_weights, model),
        save_tokenizer=tokenizer.save,
    )
    if adapter is None:
        return
    belongs = AdapterDescription(
        base=weights_fingerprint(base),
        checkpoint=description,
        base_path=_seen_from(draft, base) if alone else None,
    )
    n_bytes = write_adapter(draft.directory / ADAPTER, adapter.settings, adapter.tensors, belongs)
    draft.metrics |= adapter_metrics(model, adapter, n_bytes)


def _seen_from(draft: Draft, base: Artifact) -> str:
    """The path of the model that the adapter belongs to, seen from the finished checkpoint."""
    place = draft.directory.resolve()  # next to the finished directory
    return os.path.relpath(base.directory.resolve(), place).replace(os.sep, "/")
