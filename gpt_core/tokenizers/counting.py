"""Count the pieces of a corpus in parts, which any engine runs, and merge the counts.

A part is some row groups of the training split; it writes its counts to a file. The files are
merged in the order of the parts and the sums sorted by piece, so that they depend on the corpus
alone. In memory are the counts of one part in each worker, and one entry for each distinct piece
where they are merged.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.artifact import Artifact
from gpt_core.config import TokenizerConfig
from gpt_core.engine import Engine, group_sizes, run_serially
from gpt_core.files import Progress
from gpt_core.finished_parts import Finished, PartStore
from gpt_core.text import RowGroup, list_row_groups, read_row_group
from gpt_core.tokenizers.split_patterns import split_pattern
from gpt_core.tokenizers.vocabulary import VocabularyTokenizer

PART_BYTES = 1 << 25
"""Bytes of text in a part, about."""
MAX_PIECES = 1 << 23
"""Distinct pieces that are kept, the most frequent ones; the others are too rare to matter."""

_SCHEMA = pa.schema([("piece", pa.string()), ("count", pa.int64())])
_FILE = "counts.parquet"
_DOCUMENTS_PER_PROGRESS = 500

Vocabularies = dict[str, type[VocabularyTokenizer]]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Row groups of the training split."""

    groups: tuple[RowGroup, ...]
    kind: str
    pattern: str
    vocabulary: type[VocabularyTokenizer] | None
    """The tokenizer whose units are counted; None to count the pieces of the pattern."""

    folder: Path
    """The folder for the counts; it exists when ``count_part`` is called."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of a corpus."""

    pieces: dict[str, int]
    """Counts by piece, sorted by piece."""

    n_documents: int
    n_parts: int
    n_dropped: int
    """Distinct pieces that were too many, see ``MAX_PIECES``."""

    def metrics(self) -> dict[str, float]:
        """``counted_pieces``, ``counted_documents``, ``counted_parts`` and ``dropped_pieces``."""
        return {
            "counted_pieces": float(len(self.pieces)),
            "counted_documents": float(self.n_documents),
            "counted_parts": float(self.n_parts),
            "dropped_pieces": float(self.n_dropped),
        }


def plan_texts(documents: Artifact, part_bytes: int = PART_BYTES) -> list[tuple[RowGroup, ...]]:
    """Plan the parts of the training split.

    Raises:
        DataError: If a file of the split is missing or damaged.
    """
    groups = list_row_groups(documents, "train")
    chosen = group_sizes([group.n_bytes for group in groups], part_bytes)
    return [tuple(groups[each.start : each.stop]) for each in chosen]


def input_of(documents: Artifact, groups: Sequence[RowGroup]) -> object:
    """Values that identify the texts of a part, see ``PartStore.run``."""
    return documents, [(group.file.name, group.number) for group in groups]


def count_pieces(
    documents: Artifact,
    config: TokenizerConfig,
    vocabulary: type[VocabularyTokenizer] | None,
    planned: Sequence[tuple[RowGroup, ...]],
    store: PartStore,
    engine: Engine,
    progress: Progress | None,
) -> Counts:
    """Count the pieces of all parts.

    Args:
        documents: The corpus.
        config: The kind of tokenizer and its pattern.
        vocabulary: The tokenizer whose units are counted; None for the pieces of the pattern.
        planned: The parts.
        store: Keeps the parts.
        engine: Runs the parts; a single one is counted in this process.
        progress: Called with ``documents``.
    """
    parts = [
        TextPart(groups, config.kind, config.pattern, vocabulary, store.folder("counts", number))
        for number, groups in enumerate(planned)
    ]
    inputs = [(input_of(documents, each.groups), each.kind, each.pattern) for each in parts]
    alone = len(parts) == 1
    n_documents = 0

    def done(count: int) -> None:
        nonlocal n_documents
        n_documents += count
        if progress is not None and not alone:
            progress("documents", n_documents, None)

    function: Callable[[TextPart], int] = partial(count_part, progress=progress if alone else None)
    chosen = run_serially if alone else engine
    counted = store.run(chosen, function, parts, inputs, int, done=done)
    pieces, n_dropped = _merge(counted)
    return Counts(pieces, n_documents, len(parts), n_dropped)


def count_part(part: TextPart, progress: Progress | None = None) -> int:
    """Count the pieces of a part and write the counts, sorted by piece.

    Returns:
        The number of documents.

    Raises:
        ConfigError: If the pattern cannot be used.
        DataError: If a file is missing or damaged.
    """
    n_documents = 0

    def texts() -> Iterator[str]:
        nonlocal n_documents
        for group in part.groups:
            for text in read_row_group(group.file, group.number):
                n_documents += 1
                if progress is not None and n_documents % _DOCUMENTS_PER_PROGRESS == 0:
                    progress("documents", n_documents, None)
                yield text

    if part.vocabulary is None:
        counts = split_pattern(part.pattern).count(texts())
    else:
        counts = Counter[str]()
        for text in texts():
            counts.update(part.vocabulary.split(text))
    pieces = sorted(counts)
    columns = {"piece": pieces, "count": [counts[piece] for piece in pieces]}
    pq.write_table(pa.table(columns, schema=_SCHEMA), part.folder / _FILE, compression="lz4")
    return n_documents


def _merge(counted: Sequence[Finished[int]]) -> tuple[dict[str, int], int]:
    """The sums of all parts, and how many pieces were too many."""
    merged = _SCHEMA.empty_table()
    for part in counted:
        table = pa.concat_tables([merged, pq.read_table(part.folder / _FILE, memory_map=False)])
        grouped = table.group_by("piece", use_threads=False).aggregate([("count", "sum")])
        merged = grouped.rename_columns(["piece", "count"]).cast(_SCHEMA)
    n_dropped = max(0, merged.num_rows - MAX_PIECES)
    if n_dropped:
        order = [("count", "descending"), ("piece", "ascending")]
        merged = merged.sort_by(order).slice(0, MAX_PIECES)
    merged = merged.sort_by("piece")
    names, sums = (merged.column(each).to_pylist() for each in ("piece", "count"))
    return dict(zip(names, sums, strict=True)), n_dropped
