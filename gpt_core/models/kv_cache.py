"""Keys and values of the tokens that were seen, so that decoding computes only the newest.

Shapes: B batch, H heads, T new tokens, S all tokens so far, D head width.
"""

import torch
from torch import Tensor

from gpt_core.config import GPTConfig


class KVCache:
    """Room for the keys and values of ``context_length`` tokens in every layer.

    Args:
        config: The model's shape.
        batch_size: B.
        device: Where the model computes.
        dtype: What the model computes in.
    """

    def __init__(
        self,
        config: GPTConfig,
        batch_size: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        shape = (
            config.n_layer,
            batch_size,
            config.n_head,
            config.context_length,
            config.head_width,
        )
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.length = 0
        """Tokens whose keys and values are in every layer."""

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add the new tokens' keys and values of one layer and return all of that layer.

        Args:
            layer: Index of the block.
            key: Shape (B, H, T, D).
            value: Shape (B, H, T, D).

        Returns:
            Keys and values, each (B, H, S, D).
        """
        end = self.length + key.size(-2)
        self.keys[layer, :, :, self.length : end] = key
        self.values[layer, :, :, self.length : end] = value
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, n_tokens: int) -> None:
        """Count the new tokens, once all layers have stored them."""
        self.length += n_tokens
