"""Inputs of flows from outside: sources, releases and existing artifacts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpt_core.artifact import Artifact, read_artifact
from gpt_core.config import Benchmark, PredictionConfig
from gpt_core.errors import DataError
from tasks.in_use import artifacts_locked, mark_used
from tasks.paths import expand_path, newest_checkpoint

REGISTERED = "models:/"
"""The beginning of a registered model's address."""

Role = (
    Literal["text", "contamination", "classification", "instruction", "preference", "answers"]
    | Literal["prediction"]
    | Benchmark
)
"""The format that a source is read in."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source by name or path."""

    name: str
    role: Role = "text"


@dataclass(frozen=True, slots=True)
class Release:
    """The GPT-2 release of the section ``gpt2``."""


@dataclass(frozen=True, slots=True)
class Given:
    """An existing artifact, by its directory or a model by its address in the registry."""

    directory: str
    kind: Literal["checkpoint", "tokenizer"]

    def read(self) -> Artifact:
        """Open the artifact.

        Raises:
            DataError: If there is none of that kind in the directory, or no such registered model.
        """
        try:
            directory = self._directory()
            with artifacts_locked(alone=False):
                found = read_artifact(directory, self.kind)
                mark_used(found)
            return found
        except (OSError, RuntimeError) as error:  # a name too long, links in a circle
            raise DataError(f"{self.directory!r:.200} is no {self.kind}: {error!s:.200}") from error

    def _directory(self) -> Path:
        """Where the artifact is; a registered model that is not in this home is downloaded."""
        if not self.directory.startswith(REGISTERED):
            return expand_path(self.directory).resolve()
        from tasks.environment import configure_environment

        configure_environment()  # before MLflow is imported
        from tasks.tracking import registered_checkpoint

        return registered_checkpoint(self.directory).directory


Read = Source | Release | Given


def answers_read(named: str) -> Source | Given:
    """Where answers come from: a checkpoint's directory, a registered model, or else a file."""
    if named.startswith(REGISTERED) or expand_path(named).is_dir():
        return Given(named, "checkpoint")
    return Source(named, "answers")


def named_checkpoint(named: str | None) -> Given:
    """The checkpoint of a directory or a registered model; the newest if none is named.

    Raises:
        DataError: If none is named and there is none yet.
    """
    found = named or newest_checkpoint()
    if found is None:
        raise DataError("there is no checkpoint yet: make one with gptflow run")
    return Given(str(found), "checkpoint")


def find_given_adapter(config: PredictionConfig) -> tuple[Path | None, Mapping[str, str]]:
    """The adapter that the user named, and the fingerprint of its files.

    Raises:
        CheckpointError: If there is none, or a file of it cannot be read.
    """
    if config.adapter is None:
        return None, {}
    from gpt_core.models import adapter_fingerprint

    adapter = expand_path(config.adapter).resolve()
    return adapter, {"adapter": adapter_fingerprint(adapter)}
