"""How the next token is chosen."""

from dataclasses import dataclass

from gpt_core.config.checks import require, require_at_least
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodingConfig(Section):
    """Decoding. Temperature 0 is greedy."""

    max_new_tokens: int = 128
    """Most tokens to generate."""

    temperature: float = 0.8
    """Logits are divided by it; 0 takes the most likely token."""

    top_k: int | None = None
    """Sample among the k most likely tokens only."""

    top_p: float | None = None
    """Sample among the fewest tokens whose probability reaches p."""

    seed: int = 1337
    """Seed of the sampling."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "max_new_tokens", "top_k")
        require_at_least(self, 0, "temperature", "seed")
        require(
            self.top_p is None or 0 < self.top_p <= 1, f"top_p must be in (0, 1], got {self.top_p}"
        )
