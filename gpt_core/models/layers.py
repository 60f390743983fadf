"""The layers that are not attention: normalization, the activation and the feed-forward network.

Shapes: B batch, T time, C width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt_core.config import GPTConfig

_STATES = 1 << 16  # of the bits that decide whether an element is dropped


class Embedding(nn.Embedding):
    """A vector for each id, looked up in a table of shape (n, C)."""

    def reset_parameters(self) -> None:
        """Draw nothing: the model draws all its weights, or is given them."""


class LayerNorm(nn.Module):
    """Each token's vector brought to mean 0 and variance 1, then scaled and shifted.

    ``y = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias`` over the width C.

    Args:
        width: C.
        bias: Learn a shift beside the scale.
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
        """Normalize the last dimension.

        Args:
            x: Any tensor whose last dimension is C.

        Returns:
            The same shape.
        """
        if not self.explicit:
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)
        mean = x.mean(dim=-1, keepdim=True)
        variance = x.var(dim=-1, keepdim=True, unbiased=False)
        normalized = (x - mean) / torch.sqrt(variance + self.epsilon) * self.weight
        return normalized if self.bias is None else normalized + self.bias


class GELU(nn.Module):
    """The smooth rectifier of GPT-2: x times an approximation of the normal distribution at x.

    ``0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))``

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
    """In training each element is 0 with probability p, else scaled up so that the mean stays.

    ``y = x × keep / (1 - p)``, ``keep`` being 0 with probability p. Torch's own draws a random
    number of 64 bits for each element, which on a CPU takes longer than the matrix products
    beside it; 16 bits decide as well, so that one draw serves four elements.

    Args:
        p: Probability of dropping an element; on a CPU to the nearest multiple of 2⁻¹⁶.

    References:
        Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from
        Overfitting", section 4 and, for the scale, section 10.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of a tensor of any shape, in training only."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.p)
        return x * _keep(x, min(round(self.p * _STATES), _STATES - 1))


def _keep(x: Tensor, n_dropped: int) -> Tensor:
    """0 for ``n_dropped`` of all states of 16 random bits, else what keeps the mean."""
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: x.numel()].view(x.shape)
    kept = bits >= n_dropped - _STATES // 2
    return kept.to(x.dtype).mul_(_STATES / (_STATES - n_dropped))


class FeedForward(nn.Module):
    """Two linear layers around an activation, applied to each token alone; four times as wide.

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
        """Transform each token.

        Args:
            x: The normalized residual stream, shape (B, T, C).

        Returns:
            What is added to the stream, shape (B, T, C).
        """
        hidden = self.activation(self.c_fc(x))  # (B, T, 4 C)
        out: Tensor = self.dropout(self.c_proj(hidden))  # (B, T, C)
        return out
