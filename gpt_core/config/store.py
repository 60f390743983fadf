"""Settings of a store of artifacts that several machines share; no result depends on them."""

from dataclasses import dataclass

from gpt_core.config.checks import require_at_least
from gpt_core.config.section import Section
from gpt_core.uris import parse_uri


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreConfig(Section):
    """A store that several machines share: what one of them has made, the others fetch."""

    uri: str | None = None
    """``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX`` or ``file:///FOLDER`` of a shared file system.
    Every artifact is published there and looked for there before it is made; None uses the home
    alone."""

    lease_seconds: float = 60.0
    """A training is left to the machine that has begun it, until that has given no sign of life for
    so many seconds."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "lease_seconds")
        if self.uri is not None:
            parse_uri(self.uri)
