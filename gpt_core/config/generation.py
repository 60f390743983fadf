"""Settings of decoding: how the next token is chosen."""

from dataclasses import dataclass

from gpt_core.config.checks import require, require_at_least
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodingConfig(Section):
    """Sampling of the next token: temperature, then top-k, then top-p."""

    max_new_tokens: int = 128
    """Maximum number of tokens to generate."""

    temperature: float = 0.8
    """Divisor of the logits: below 1 sharpens the distribution, above 1 flattens it; 0 is greedy
    decoding, the most likely token."""

    top_k: int | None = None
    """Sample from the k most likely tokens; by default from all."""

    top_p: float | None = None
    """Sample from the smallest set of tokens whose probability reaches p, in (0, 1] (nucleus
    sampling); by default from all."""

    beams: int = 1
    """Beam search: extend the so many most probable texts by a token at a time and take the most
    probable one at the end. With more than 1 nothing is sampled, so that temperature, top-k, top-p
    and seed have no effect."""

    lookup: int = 0
    """Greedy decoding only: guess up to so many tokens at a time from what followed the same words
    before, and check them in one pass of the model. The same text, faster where it repeats itself;
    0 guesses none."""

    seed: int = 1337
    """Random seed of the sampling; prompt i of a batch uses ``seed + i``."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "max_new_tokens", "top_k", "beams")
        require_at_least(self, 0, "temperature", "lookup", "seed")
        require(
            self.top_p is None or 0 < self.top_p <= 1, f"top_p must be in (0, 1], got {self.top_p}"
        )
