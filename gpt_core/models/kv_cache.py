"""KV cache: keep the keys and values of past tokens, so that decoding computes only the new ones.

A token's keys and values depend on earlier tokens alone, so they never change once computed.
Without a cache, N new tokens cost N passes over a growing text; with one, the text is processed
once (prefill) and each new token costs one pass over itself (decoding).

Shapes: B batch, H heads, T new tokens, S all tokens so far, D head width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt_core.config import GPTConfig


class KVCache:
    """Preallocated keys and values of B sequences in every layer.

    Args:
        config: The model's shape.
        batch_size: B.
        device: The model's device.
        dtype: The dtype in which the model computes keys and values.
        capacity: Maximum number of tokens per sequence; None takes ``context_length``.
    """

    def __init__(
        self,
        config: GPTConfig,
        batch_size: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        capacity: int | None = None,
    ) -> None:
        self.capacity = min(capacity or config.context_length, config.context_length)
        """Maximum number of tokens per sequence."""

        shape = (config.n_layer, batch_size, config.n_head, self.capacity, config.head_width)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.length = 0
        """Tokens per sequence whose keys and values are stored in every layer."""

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new tokens' keys and values of one layer and return all of that layer.

        Args:
            layer: Index of the block.
            key: Shape (B, H, T, D).
            value: Shape (B, H, T, D).

        Returns:
            Keys and values, each (B, H, S, D).

        Raises:
            ValueError: If the new tokens exceed the capacity.
        """
        end = self.length + key.size(-2)
        if end > self.capacity:
            raise ValueError(f"{end} tokens exceed the cache's capacity of {self.capacity}")
        self.keys[layer, :, :, self.length : end] = key
        self.values[layer, :, :, self.length : end] = value
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, n_tokens: int) -> None:
        """Count the new tokens, once all layers have stored them."""
        self.length += n_tokens

    def keep_rows(self, rows: Sequence[int]) -> None:
        """Select sequences of the batch.

        Args:
            rows: Batch indices of the sequences to keep, in their new order; may repeat.
        """
        index = torch.tensor(rows, device=self.keys.device)
        self.keys, self.values = self.keys[:, index], self.values[:, index]
