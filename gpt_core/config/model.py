"""Settings of the model's shape."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import (
    require,
    require_at_least,
    require_at_most,
    require_positive,
    require_share,
)
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class GPTConfig(Section):
    """Shape of a GPT of the GPT-2 architecture; the defaults are those of GPT-2 124M."""

    n_layer: int = 12
    """Number of transformer blocks."""

    n_head: int = 12
    """Number of attention heads per block; must divide ``n_embd``."""

    n_embd: int = 768
    """Width of the embeddings and the residual stream."""

    context_length: int = 1024
    """Maximum number of tokens that the model sees at once."""

    vocab_size: int | None = None
    """Size of the vocabulary in tokens; by default that of the tokenizer."""

    dropout: float = 0.0
    """Dropout probability of the embeddings and of each update of the residual stream, 0 to < 1."""

    attention_dropout: float = 0.0
    """Dropout probability of the attention weights, 0 to < 1; slow on a CPU unless 0."""

    bias: bool = True
    """Whether linear layers and layer norms have biases; GPT-2's do."""

    tied_head: bool = True
    """Whether the output head uses the token embedding's weights (weight tying); GPT-2's does."""

    layer_norm_epsilon: float = 1e-5
    """Epsilon of the layer norms, added to the variance."""

    attention: Literal["sdpa", "explicit"] = "sdpa"
    """Implementation: ``sdpa``, torch's fused kernels (in bf16 training on a CPU our own, which is
    faster there), or ``explicit``, a few readable lines; the same result up to rounding.
    ``compute.attention_kernel`` chooses among torch's kernels."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "n_layer", "n_head", "n_embd", "context_length", "vocab_size")
        require_at_most(self, 10_000, "n_layer")  # far beyond any model, so that counting ends
        require_at_most(self, 1 << 20, "n_embd")
        require_at_most(self, 1 << 24, "context_length", "vocab_size")
        require_share(self, "dropout", "attention_dropout")
        require_positive(self, "layer_norm_epsilon")
        near = self.n_head * max(1, round(self.n_embd / self.n_head))
        require(
            self.n_embd % self.n_head == 0,
            f"n_embd ({self.n_embd}) must be a multiple of n_head ({self.n_head}): "
            f"try n_embd={near}",
        )

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head


@dataclass(frozen=True, kw_only=True, slots=True)
class BigramConfig(Section):
    """Shape of the bigram language model."""

    vocab_size: int
    """Size of the vocabulary in tokens."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "vocab_size")
