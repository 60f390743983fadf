"""Where runs are recorded and under which names models are registered; no result depends on it."""

import re
from dataclasses import dataclass

from gpt_core.config.checks import require, require_at_least, require_named
from gpt_core.config.section import Section

_MAX_EXPERIMENT = 200  # characters; MLflow takes 500 bytes
_MAX_PREFIX = 64
_PREFIX = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackingConfig(Section):
    """Where MLflow keeps a run."""

    experiment: str | None = None
    """The MLflow experiment of the run, one for each project; it is created if there is none of
    that name. None is the experiment in ``mlflow/experiments.toml``."""

    def __post_init__(self) -> None:
        require_named(self, "experiment")
        require(
            self.experiment is None or len(self.experiment) <= _MAX_EXPERIMENT,
            f"experiment must be a name of at most {_MAX_EXPERIMENT} characters",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryConfig(Section):
    """The names of models in MLflow's registry, and when one becomes the champion."""

    name: str | None = None
    """Precedes the names of registered models: with ``poems`` they are ``poems-language-model``,
    ``poems-classifier-LABELS`` and ``poems-instruction-follower``."""

    promote: bool = False
    """At the end of a run, make its models champions that are no worse than the present ones on
    the same text, as ``gptflow promote`` does."""

    max_bytes: int = 1_000_000
    """Bytes of held-out text on which two language models are compared, at most."""

    def __post_init__(self) -> None:
        require_named(self, "name")
        require_at_least(self, 1, "max_bytes")
        require(
            self.name is None
            or (_PREFIX.fullmatch(self.name) is not None and len(self.name) <= _MAX_PREFIX),
            f"name must be letters, digits, '-', '_' and '.', at most {_MAX_PREFIX}, "
            f"got {self.name!r:.200}",
        )
