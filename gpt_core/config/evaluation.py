"""How a model is measured."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import Section, require_at_least


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig(Section):
    """Loss, perplexity and bits per byte on held-out text, and samples."""

    split: Literal["validation", "test"] = "test"
    """The part of the shards that is read."""

    batch_size: int = 16
    """Samples that go through the model at once."""

    max_tokens: int | None = None
    """Most tokens that are read; None reads all."""

    prompts: tuple[str, ...] = ("",)
    """What the samples go on from; an empty prompt starts a document."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "batch_size", "max_tokens")
