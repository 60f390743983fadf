"""KV cache of slots: rows of their own lengths, so that sequences come and go independently.

``KVCache`` holds sequences of one length. Here each row (slot) has its own: a decode step reads all
of its rows up to the longest, rounded up, and a mask hides the places behind a row's end. Those
places hold finite numbers always (zeros at first): a masked NaN would still reach the output,
since 0 × NaN is NaN.

Shapes: N slots, B rows of a step, H heads, T new tokens, S keys that are read, D head width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt_core.config import GPTConfig

_ROUNDING = 64  # keys: few distinct shapes, and vectorized kernels without a remainder


class SlotCache:
    """Preallocated keys and values of N slots in every layer.

    Args:
        config: The model's shape.
        n_slots: N.
        device: The model's device.
        dtype: The dtype in which the model computes keys and values.
        capacity: Maximum number of tokens per slot; None takes ``context_length``.
    """

    def __init__(
        self,
        config: GPTConfig,
        n_slots: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        capacity: int | None = None,
    ) -> None:
        self.capacity = min(capacity or config.context_length, config.context_length)
        """Maximum number of tokens per slot."""

        shape = (config.n_layer, n_slots, config.n_head, self.capacity, config.head_width)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)

    def copy(self, source: int, target: int, n_tokens: int) -> None:
        """Copy the first tokens of one slot to another."""
        for stored in (self.keys, self.values):
            stored[:, target, :, :n_tokens] = stored[:, source, :, :n_tokens]

    def swap(self, one: int, other: int, n_tokens: int) -> None:
        """Exchange the first tokens of two slots."""
        for stored in (self.keys, self.values):
            kept = stored[:, one, :, :n_tokens].clone()
            stored[:, one, :, :n_tokens] = stored[:, other, :, :n_tokens]
            stored[:, other, :, :n_tokens] = kept

    def clear(self, slot: int) -> None:
        """Set a slot to zeros, after numbers that are not finite reached it."""
        self.keys[:, slot] = 0
        self.values[:, slot] = 0


class SlotStep:
    """Some neighbouring slots in one forward pass, which uses it like a ``KVCache``.

    Args:
        cache: The slots.
        first: The first of the slots; the others follow it.
        lengths: Tokens that each of them holds.
        n_new: T, the tokens that are appended to each.
    """

    def __init__(
        self, cache: SlotCache, first: int, lengths: Sequence[int], n_new: int = 1
    ) -> None:
        device = cache.keys.device
        self.length = max(lengths)
        end = min(_round_up(self.length + n_new), cache.capacity)
        rows = slice(first, first + len(lengths))
        self._keys = cache.keys[:, rows, :, :end]
        self._values = cache.values[:, rows, :, :end]
        starts = torch.tensor(lengths, device=device)
        self.positions = starts[:, None] + torch.arange(n_new, device=device)
        """The position of each new token, shape (B, T)."""

        hidden = torch.arange(end, device=device) > self.positions[..., None]
        mask = torch.zeros(hidden.shape, device=device, dtype=cache.keys.dtype)
        self.mask = mask.masked_fill_(hidden, -torch.inf)[:, None]
        """Added to the scores: 0, or -inf where a key comes after the query, (B, 1, T, S)."""

        self._one_start = self.length if len(lengths) == 1 else None
        self._n_new = n_new
        self._rows = torch.arange(len(lengths), device=device)[:, None]

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new tokens' keys and values of one layer and return those to be read.

        Args:
            layer: Index of the block.
            key: Shape (B, H, T, D).
            value: Shape (B, H, T, D).

        Returns:
            Keys and values, each (B, H, S, D).
        """
        keys, values = self._keys[layer], self._values[layer]
        if self._one_start is not None:
            keys[:, :, self._one_start : self._one_start + self._n_new] = key
            values[:, :, self._one_start : self._one_start + self._n_new] = value
        else:
            keys[self._rows, :, self.positions] = key.transpose(1, 2)
            values[self._rows, :, self.positions] = value.transpose(1, 2)
        return keys, values

    def advance(self, n_tokens: int) -> None:
        """Do nothing: the owner of the slots counts their tokens."""


def _round_up(n: int) -> int:
    return -(-n // _ROUNDING) * _ROUNDING
