"""Labelled texts for classification: encode and pad.

Shapes: B batch, T time.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt_core.tokenizers import Tokenizer


def encode_texts(
    texts: Sequence[str], tokenizer: Tokenizer, max_tokens: int | None
) -> list[list[int]]:
    """Encode texts, truncated to ``max_tokens``; an empty text becomes one end-of-document id."""
    return [ids[:max_tokens] or [tokenizer.eos_id] for ids in tokenizer.encode_batch(texts)]


def pad(
    rows: Sequence[Sequence[int]], pad_id: int, pad_to: int | None = None
) -> tuple[Tensor, Tensor]:
    """Pad rows at the end to the length of the longest, or to ``pad_to`` tokens.

    Returns:
        Ids of shape (B, T) and the unpadded lengths of shape (B,), both int64.
    """
    lengths = torch.tensor([len(row) for row in rows])
    token_ids = torch.full((len(rows), pad_to or int(lengths.max())), pad_id)
    for index, row in enumerate(rows):
        token_ids[index, : len(row)] = torch.tensor(row)
    return token_ids, lengths
