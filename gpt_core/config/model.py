"""The shape of a model."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import require, require_at_least, require_positive, require_share
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class GPTConfig(Section):
    """A GPT of the GPT-2 architecture. The defaults are GPT-2 124M's."""

    n_layer: int = 12
    """Transformer blocks."""

    n_head: int = 12
    """Attention heads in each block."""

    n_embd: int = 768
    """Width of the residual stream."""

    context_length: int = 1024
    """Most tokens that the model sees at once."""

    vocab_size: int | None = None
    """Tokens of the vocabulary; None takes the tokenizer's."""

    dropout: float = 0.0
    """Probability of dropping what is embedded, or added to the residual stream, in training."""

    attention_dropout: float = 0.0
    """Probability of dropping an attention weight in training; a CPU then has no fused kernel."""

    bias: bool = True
    """Linear layers and layer norms have biases, as GPT-2's do."""

    tied_head: bool = True
    """The output head shares the token embedding's weights."""

    layer_norm_epsilon: float = 1e-5
    """Added to the variance in every layer norm."""

    attention: Literal["sdpa", "explicit"] = "sdpa"
    """``explicit``: a few readable lines; ``sdpa``: torch's fused kernel, the same result."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "n_layer", "n_head", "n_embd", "context_length", "vocab_size")
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
    """The bigram baseline."""

    vocab_size: int
    """Tokens of the vocabulary."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "vocab_size")
