"""What a flow reads from outside: sources, releases and artifacts that were made before."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpt_core.artifact import Artifact, read_artifact
from gpt_core.config import Benchmark

Role = Literal["text", "classification", "instruction"] | Benchmark
"""What a source is read as."""


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
    """An artifact that was made before, by its directory."""

    directory: str
    kind: Literal["checkpoint", "tokenizer"]

    def read(self) -> Artifact:
        """Open the artifact.

        Raises:
            DataError: If there is none of that kind in the directory.
        """
        return read_artifact(Path(self.directory).expanduser().resolve(), self.kind)


Read = Source | Release | Given
