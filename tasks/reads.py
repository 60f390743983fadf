"""Inputs of flows from outside: sources, releases and existing artifacts."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.artifact import Artifact, read_artifact
from gpt_core.config import Benchmark
from gpt_core.errors import DataError
from tasks.in_use import artifacts_locked, mark_used
from tasks.paths import expand_path

Role = Literal["text", "classification", "instruction"] | Benchmark
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
    """An existing artifact, by its directory."""

    directory: str
    kind: Literal["checkpoint", "tokenizer"]

    def read(self) -> Artifact:
        """Open the artifact.

        Raises:
            DataError: If there is none of that kind in the directory.
        """
        try:
            with artifacts_locked(alone=False):
                found = read_artifact(expand_path(self.directory).resolve(), self.kind)
                mark_used(found)
            return found
        except (OSError, RuntimeError) as error:  # a name too long, links in a circle
            raise DataError(f"{self.directory!r:.200} is no {self.kind}: {error!s:.200}") from error


Read = Source | Release | Given
