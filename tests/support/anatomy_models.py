"""Checkpoints with random weights and real tokenizers, of every kind that can be dissected."""

from functools import partial
from pathlib import Path

import torch

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import ADAPTER, CheckpointDescription, CheckpointKind, write_checkpoint
from gpt_core.config import GPTConfig
from gpt_core.models import (
    AdapterDescription,
    GPTClassifier,
    build_model,
    save_weights,
    to_file_name,
    write_adapter,
)
from gpt_core.tokenizers import BPETokenizer, ByteTokenizer, Tokenizer, train_bpe

ENGLISH = "In winter the weaver went to the market and found a letter there."
ARABIC = "فِي الصَّبَاحِ ذَهَبَ سَعِيدٌ إِلَى  السُّوقِ"


SETTINGS = {"peft_type": "LORA", "lora_alpha": 8, "target_modules": ["c_attn"]}
LAYER = "h.0.attn.c_attn"


def adapter(rank: int, width: int = 32) -> dict[str, torch.Tensor]:
    """Random tensors of an adapter for the queries, keys and values of the first block."""
    generator = torch.Generator().manual_seed(rank)
    shapes = {"A": (rank, width), "B": (3 * width, rank)}
    return {
        f"{to_file_name(LAYER)}.lora_{name}.weight": torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }


def small_bpe() -> BPETokenizer:
    """A tokenizer of 300 tokens."""
    return train_bpe([ENGLISH, ARABIC, "the winter of the letter"] * 3, 300, "gpt2")


def write_model(
    directory: Path,
    *,
    kind: CheckpointKind = "pretrained",
    tokenizer: Tokenizer | None = None,
    labels: tuple[str, ...] | None = None,
    template: str | None = None,
    rank: int = 0,
    seed: int = 0,
    **shape: int,
) -> Artifact:
    """Write a checkpoint.

    Args:
        directory: Where.
        kind: Its kind.
        tokenizer: Its tokenizer; bytes if none is given.
        labels: Of a classifier.
        template: Of a model for instructions.
        rank: Of an adapter for the first matrix of attention, whose update is in the weights; 0 for
            none.
        seed: Of the weights.
        shape: Changes of a model of 2 blocks, 2 heads, a width of 32 and a context of 48.
    """
    tokenizer = tokenizer or ByteTokenizer()
    sizes = {"n_layer": 2, "n_head": 2, "n_embd": 32, "context_length": 48, **shape}
    config = GPTConfig(vocab_size=tokenizer.vocab_size, dropout=0.0, **sizes)
    model = build_model(config, seed)
    for parameter in model.parameters():
        parameter.data.mul_(4.0)  # so that attention prefers something
    whole = model if labels is None else GPTClassifier(model, len(labels))
    description = CheckpointDescription(
        kind=kind, step=4, model=config, labels=labels, template=template
    )
    with new_artifact(directory, kind="checkpoint") as draft:
        write_checkpoint(
            draft,
            description,
            save_weights=partial(save_weights, whole),
            save_tokenizer=tokenizer.save,
        )
        if rank:
            own = AdapterDescription(base="0" * 32, checkpoint=description)
            write_adapter(draft.directory / ADAPTER, SETTINGS | {"r": rank}, adapter(rank), own)
    return draft.artifact
