"""Settings of what runs the parts of a stage; no result depends on them."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import require, require_at_least
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig(Section):
    """Where the parts run into which cleaning and encoding cut a large source."""

    kind: Literal["local", "dask"] = "local"
    """``local`` runs them in processes of this machine, ``dask`` on the workers of a Dask cluster,
    which see the folders of the artifacts and of the source under the same paths."""

    address: str | None = None
    """``dask``: the address of the cluster's scheduler, such as ``tcp://10.0.0.1:8786``."""

    workers: int = 0
    """``local``: number of processes, or of threads for encoding a smaller corpus;
    0 for one per CPU core. A source of less than 24 MiB is cleaned by the command's own process."""

    def __post_init__(self) -> None:
        require_at_least(self, 0, "workers")
        wanted = self.kind == "dask"
        require(wanted == (self.address is not None), "kind=dask and address go together")
