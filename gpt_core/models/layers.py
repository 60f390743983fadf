"""The layers that are not attention: embedding, layer norm, GELU, dropout and feed-forward network.

Shapes: B batch, T time, C width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from gpt_core.config import GPTConfig

_N_STATES = 1 << 16  # values of the 16 random bits that decide whether to drop an element


class Embedding(nn.Embedding):
    """A lookup table with one vector of width C per id, shape (n, C)."""

    @override
    def reset_parameters(self) -> None:
        """Do nothing: ``GPT.initialize`` draws the weights, see ``allocate_model``."""


class LayerNorm(nn.Module):
    """Layer normalization: standardize each token's vector, then scale and shift it.

    ``y = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias`` over the width C.

    Args:
        width: C.
        bias: Learn a shift as well as a scale.
        epsilon: Added to the variance, so that a constant vector does not divide by zero.
        explicit: Compute the formula as written; else torch's fused kernel, the same result.

    References:
        Ba et al. 2016, "Layer Normalization", section 3.
    """

    def __init__(
        self, width: int, *, bias: bool = True, epsilon: float = 1e-5, explicit: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None
        self.epsilon = epsilon
        self.explicit = explicit

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last dimension, which is C; the others are arbitrary."""
        if not self.explicit:
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)
        mean = x.mean(dim=-1, keepdim=True)
        variance = x.var(dim=-1, keepdim=True, unbiased=False)
        normalized = (x - mean) / torch.sqrt(variance + self.epsilon) * self.weight
        return normalized if self.bias is None else normalized + self.bias


class GELU(nn.Module):
    """Gaussian error linear unit in the tanh approximation that GPT-2 uses.

    ``0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))``, close to ``x P(Z <= x)`` for a standard
    normal Z: a ReLU with a smooth corner.

    Args:
        explicit: Compute the formula as written; else torch's fused kernel, the same result.

    References:
        Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", section 2.
    """

    def __init__(self, *, explicit: bool = False) -> None:
        super().__init__()
        self.explicit = explicit

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation to every element."""
        if not self.explicit:
            return F.gelu(x, approximate="tanh")
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class Dropout(nn.Module):
    """In training, zero each element with probability p and scale the others to keep the mean.

    ``y = x × keep / (1 - p)``, where ``keep`` is 0 with probability p, else 1. Torch's own dropout
    draws 64 random bits per element, which on a CPU takes longer than the neighbouring matrix
    products; here 16 bits decide, so that one draw serves four elements.

    Args:
        p: Probability of dropping an element; on a CPU rounded to a multiple of 2⁻¹⁶.

    References:
        Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from
        Overfitting", section 4 and, for the scale, section 10.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of a tensor of any shape; in evaluation mode return it unchanged."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.p)
        return x * _scaled_keep_mask(x, min(round(self.p * _N_STATES), _N_STATES - 1))


def _scaled_keep_mask(x: Tensor, n_dropped: int) -> Tensor:
    """A mask shaped like ``x``: 0 with probability ``n_dropped / 2^16``, else 1 / (1 - p)."""
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: x.numel()].view(x.shape)
    keep = bits >= n_dropped - _N_STATES // 2
    return keep.to(x.dtype).mul_(_N_STATES / (_N_STATES - n_dropped))


class FeedForward(nn.Module):
    """Position-wise feed-forward network: C to 4 C, GELU, back to C; each token alone.

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.3.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.activation = GELU(explicit=config.attention == "explicit")
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the update of the residual stream.

        Args:
            x: The normalized residual stream, shape (B, T, C).

        Returns:
            Shape (B, T, C), to be added to the stream.
        """
        hidden = self.activation(self.c_fc(x))  # (B, T, 4 C)
        out: Tensor = self.dropout(self.c_proj(hidden))  # (B, T, C)
        return out
