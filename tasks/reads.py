"""Inputs of flows from outside: sources, releases and existing artifacts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpt_core.artifact import Artifact, read_artifact
from gpt_core.config import Benchmark

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
        return read_artifact(Path(self.directory).expanduser().resolve(), self.kind)


Read = Source | Release | Given
