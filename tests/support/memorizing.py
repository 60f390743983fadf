"""A small model that knows a few texts by heart, so that a test knows what it writes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import CheckpointDescription, write_checkpoint
from gpt_core.config import GPTConfig
from gpt_core.models import build_model, save_weights
from gpt_core.tokenizers import ByteTokenizer

END = 256
"""The id that ends a text, after those of the bytes."""


LONGEST = 129
"""Ids of a text that are learned; a longer text does not end there."""


def memorized_checkpoint(
    directory: Path, texts: Sequence[str], *, seed: int, context_length: int = 512
) -> Artifact:
    """A pretrained checkpoint that reads bytes and continues the beginnings of some texts."""
    shape = GPTConfig(n_layer=2, n_head=2, n_embd=64, context_length=context_length, vocab_size=257)
    model = build_model(shape, seed=seed)
    rows = [torch.tensor([END, *text.encode(), END][:LONGEST]) for text in texts]
    batch = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END)  # (B, T)
    targets = batch[:, 1:].clone()
    for row, target in zip(rows, targets, strict=True):
        target[len(row) - 1 :] = -100  # what F.cross_entropy ignores
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    for _ in range(400):
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.05:
            break
    with new_artifact(directory, kind="checkpoint") as draft:
        write_checkpoint(
            draft,
            CheckpointDescription(kind="pretrained", step=0, model=shape),
            save_weights=partial(save_weights, model.eval()),
            save_tokenizer=ByteTokenizer().save,
        )
    return draft.artifact
