"""KV cache of slots: rows of their own lengths, so that sequences come and go independently.

``KVCache`` holds sequences of one length. Here each row (slot) has its own. On a CPU each row is
read up to its own end; elsewhere all are read up to the longest, rounded up, and a mask hides the
places behind a row's end. Those places hold finite numbers always (zeros at first): a masked NaN
would still reach the output, since 0 × NaN is NaN.

Shapes: N slots, B rows of a step, H heads, T new tokens, S keys that are read, D head width.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
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

        self.n_slots = n_slots
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
        self._device = cache.keys.device
        self.length = max(lengths)
        if self.length + n_new > cache.capacity:
            raise ValueError(
                f"{self.length + n_new} tokens exceed the context length of {cache.capacity}"
            )
        self._cache, self._first, self._lengths, self._n_new = cache, first, lengths, n_new
        starts = torch.tensor(lengths, device=self._device)[:, None]
        self.positions = starts if n_new == 1 else starts + torch.arange(n_new).to(self._device)
        """The position of each new token, shape (B, T)."""

    @cached_property
    def mask(self) -> Tensor:
        """Added to the scores: 0, or -inf where a key comes after the query, (B, 1, T, S)."""
        hidden = torch.arange(self._end, device=self._device) > self.positions[..., None]
        mask = torch.zeros(hidden.shape, device=self._device, dtype=self._cache.keys.dtype)
        return mask.masked_fill_(hidden, -torch.inf)[:, None]

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new tokens' keys and values of one layer and return those to be read.

        Args:
            layer: Index of the block.
            key: Shape (B, H, T, D).
            value: Shape (B, H, T, D).

        Returns:
            Keys and values, each (B, H, S, D), to be read with ``mask``.
        """
        rows = slice(self._first, self._first + len(self._lengths))
        keys = self._cache.keys[layer, rows, :, : self._end]
        values = self._cache.values[layer, rows, :, : self._end]
        index = torch.arange(len(self._lengths), device=self._device)[:, None]
        keys[index, :, self.positions] = key.transpose(1, 2)
        values[index, :, self.positions] = value.transpose(1, 2)
        return keys, values

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Store the new tokens' keys and values of one layer, and compute causal attention.

        On a CPU each row is computed by itself and over its own length, which costs no more than
        all of them padded, and makes its bits independent of the other rows: kernels for several
        rows give the same row other bits in another thread.

        Args:
            layer: Index of the block.
            query: Shape (B, H, T, D).
            key: Shape (B, H, T, D).
            value: Shape (B, H, T, D).

        Returns:
            Shape (B, H, T, D).
        """
        if self._device.type != "cpu":
            keys, values = self.extend(layer, key, value)
            return F.scaled_dot_product_attention(query, keys, values, attn_mask=self.mask)
        rows = []
        new = (x.chunk(len(self._rows)) for x in (query, key, value))
        for one_query, one_key, one_value, row in zip(*new, self._rows, strict=True):
            row.new_keys[layer].copy_(one_key)
            row.new_values[layer].copy_(one_value)
            keys, values = row.keys[layer], row.values[layer]
            mask = None if self._n_new == 1 else self.mask[..., : keys.size(2)]
            rows.append(F.scaled_dot_product_attention(one_query, keys, values, attn_mask=mask))
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def advance(self, n_tokens: int) -> None:
        """Do nothing: the owner of the slots counts their tokens."""

    @property
    def _end(self) -> int:
        """S where all rows are read up to the longest."""
        return min(_round_up(self.length + self._n_new), self._cache.capacity)

    @cached_property
    def _rows(self) -> "list[_Row]":
        rows = enumerate(self._lengths, start=self._first)
        return [_Row(self._cache, slot, length, self._n_new) for slot, length in rows]


class _Row:
    """Views of one slot in every layer: its tokens with the new ones, and the new ones alone."""

    def __init__(self, cache: SlotCache, slot: int, start: int, n_new: int) -> None:
        keys = cache.keys[:, slot : slot + 1, :, : start + n_new]
        values = cache.values[:, slot : slot + 1, :, : start + n_new]
        self.keys, self.values = keys.unbind(0), values.unbind(0)  # each (1, H, S, D)
        self.new_keys = keys[:, :, :, start:].unbind(0)  # each (1, H, T, D)
        self.new_values = values[:, :, :, start:].unbind(0)


def _round_up(n: int) -> int:
    return -(-n // _ROUNDING) * _ROUNDING
