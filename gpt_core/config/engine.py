"""Settings of what runs the parts of a stage; no result depends on them."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import require_at_least
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig(Section):
    """Where the parts run into which cleaning and encoding cut a large source."""

    kind: Literal["local"] = "local"
    """``local`` runs them in processes of this machine."""

    workers: int = 0
    """Number of processes, or of threads for encoding if the tokenizer releases the GIL; 0 for one
    per CPU core. A source of less than 24 MiB is cleaned by the command's own process."""

    def __post_init__(self) -> None:
        require_at_least(self, 0, "workers")
