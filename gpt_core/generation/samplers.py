"""From logits to the next token.

Shapes: B batch, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gpt_core.config import DecodingConfig
from gpt_core.generation.logits import apply_temperature, keep_top_k, keep_top_p

Sampler = Callable[[Tensor], Tensor]
"""Logits (B, V) to ids (B,)."""


def greedy(logits: Tensor) -> Tensor:
    """The most likely token of each row, the smallest id among equals: (B, V) to (B,)."""
    return logits.argmax(dim=-1)


def build_sampler(decoding: DecodingConfig, device: torch.device) -> Sampler:
    """The sampler that a configuration describes, with its own source of randomness.

    Args:
        decoding: Temperature, top-k, top-p and seed.
        device: Where the logits lie.
    """
    if decoding.temperature == 0:
        return greedy
    generator = torch.Generator(device).manual_seed(decoding.seed)

    def sample(logits: Tensor) -> Tensor:
        logits = apply_temperature(logits.float(), decoding.temperature)
        if decoding.top_k is not None:
            logits = keep_top_k(logits, decoding.top_k)
        if decoding.top_p is not None:
            logits = keep_top_p(logits, decoding.top_p)
        return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).squeeze(-1)

    return sample
