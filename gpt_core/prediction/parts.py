"""Parts of predictions on disk: each is written once, and a stopped run continues after them.

A part is an artifact of its own in the directory that the report will get, as a fine-tune's
checkpoints are; all are gone when the report takes that place.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.artifact import Artifact, new_artifact, read_artifact, recorded_config, verify
from gpt_core.checkpoints import step_directory
from gpt_core.errors import DataError
from gpt_core.text import TableRow

_PART = "part.parquet"
_PART_CHARACTERS = 1 << 25


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one run.

    Args:
        out_dir: The directory of the report.
        config: The settings that made them.
        parents: The model and the source.
    """

    out_dir: Path
    config: object
    parents: Sequence[Artifact]

    def ensure(self, number: int, make: Callable[[], pa.Table]) -> bool:
        """Make and write a part, unless it is there and intact.

        Args:
            number: Counted from 1.
            make: Computes it.

        Returns:
            Whether it was made now.

        Raises:
            DataError: If it cannot be written.
        """
        if self._is_intact(number):
            return False
        table = make()
        with new_artifact(
            self._directory(number), kind="progress", config=self.config, parents=self.parents
        ) as draft:
            pq.write_table(table, draft.directory / _PART)
            draft.info["step"] = number
        return True

    def read(self, number: int) -> pa.Table:
        """A part that was written."""
        return pq.read_table(self._directory(number) / _PART)

    def _directory(self, number: int) -> Path:
        return step_directory(self.out_dir, number)

    def _is_intact(self, number: int) -> bool:
        """Whether a part is there, of these settings and inputs, and every byte is as written."""
        try:
            found = read_artifact(self._directory(number), "progress")
            verify(found)
        except DataError:
            return False
        manifest = found.manifest()
        same_parents = set(manifest.parents.values()) == {p.fingerprint for p in self.parents}
        return same_parents and manifest.config == recorded_config(self.config)


def split_parts(rows: Iterable[TableRow], n_rows: int) -> Iterator[list[TableRow]]:
    """Split rows into parts of ``n_rows``, or of fewer where their texts are very long."""
    part: list[TableRow] = []
    characters = 0
    for row in rows:
        part.append(row)
        characters += sum(map(len, row.values.values()))
        if len(part) == n_rows or characters > _PART_CHARACTERS:
            yield part
            part, characters = [], 0
    if part:
        yield part
