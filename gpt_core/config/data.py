"""Settings of token shards and of the order in which training reads them."""

from dataclasses import dataclass

from gpt_core.config.checks import require_at_least
from gpt_core.config.section import Section

IGNORED = -100
"""Target id excluded from the loss: padding, or a prompt that is not to be learned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardConfig(Section):
    """Size of the token shards and the parallelism of encoding."""

    tokens_per_shard: int = 100_000_000
    """Approximate number of tokens in one Parquet file; smaller corpora get smaller files, so that
    several workers can encode them."""

    workers: int = 0
    """Number of threads or processes that encode; 0 for ``engine.workers``. The shards are the same
    for any number."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "tokens_per_shard")
        require_at_least(self, 0, "workers")


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderConfig(Section):
    """Cutting token shards into training samples, and their order."""

    stride: int | None = None
    """Tokens between the starts of two training samples; none for the context length, so that
    samples do not overlap. 1 gives every window of the text."""

    shuffle: bool = True
    """Visit the samples in random order, a different one in each epoch; false for the order of the
    text."""

    seed: int = 1337
    """Seed of the random order."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "stride")
        require_at_least(self, 0, "seed")
