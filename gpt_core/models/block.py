"""A transformer block: attention mixes tokens, the feed-forward network transforms each.

Shapes: B batch, T time, C width.
"""

from torch import Tensor, nn

from gpt_core.config import GPTConfig
from gpt_core.models.attention import MultiHeadAttention
from gpt_core.models.kv_cache import KVCache
from gpt_core.models.layers import FeedForward, LayerNorm
from gpt_core.models.packing import Packing
from gpt_core.models.slot_cache import SlotStep


class TransformerBlock(nn.Module):
    """Pre-norm transformer block: ``x = x + attn(ln_1(x))``, then ``x = x + mlp(ln_2(x))``.

    Args:
        config: The model's shape.
        layer: Index of the block.

    References:
        Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3
        (normalization moved to the input of each sublayer).
    """

    def __init__(self, config: GPTConfig, layer: int = 0) -> None:
        super().__init__()
        self.ln_1 = build_norm(config)
        self.attn = MultiHeadAttention(config, layer)
        self.ln_2 = build_norm(config)
        self.mlp = FeedForward(config)

    def forward(
        self,
        x: Tensor,
        cache: KVCache | SlotStep | None = None,
        packing: Packing | None = None,
    ) -> Tensor:
        """Update the residual stream: (B, T, C) to (B, T, C)."""
        x = x + self.attn(self.ln_1(x), cache, packing)
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


def build_norm(config: GPTConfig) -> LayerNorm:
    """A layer norm of the model's width."""
    return LayerNorm(
        config.n_embd,
        bias=config.bias,
        epsilon=config.layer_norm_epsilon,
        explicit=config.attention == "explicit",
    )
