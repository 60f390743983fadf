"""How token ids lie on disk and in which order they are read."""

from dataclasses import dataclass

from gpt_core.config.checks import require_at_least
from gpt_core.config.section import Section

IGNORED = -100
"""Target id excluded from the loss: padding, or a prompt that is not to be learned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardConfig(Section):
    """Token shards."""

    tokens_per_shard: int = 100_000_000
    """Tokens in one Parquet file; a multiple of a row group is written."""

    workers: int = 0
    """Threads or processes that encode; 0 for one per core."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "tokens_per_shard")
        require_at_least(self, 0, "workers")


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderConfig(Section):
    """Training samples from token shards."""

    stride: int | None = None
    """Tokens between the starts of two samples; None for the context length (no overlap)."""

    shuffle: bool = True
    """Visit the samples in a keyed random order, another in each epoch."""

    seed: int = 1337
    """The key of that order."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "stride")
        require_at_least(self, 0, "seed")
