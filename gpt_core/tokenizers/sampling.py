"""Sample the documents that SentencePiece trains on, if a corpus has more lines than it may read.

Each document has a number from a hash of its id. The parts of the corpus count their lines by
ranges of these numbers, on any engine; the sample is the documents of the first ranges, as many as
the limit allows. It depends on the corpus, the limit and the seed alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path

from gpt_core.artifact import Artifact
from gpt_core.engine import Engine
from gpt_core.files import Progress
from gpt_core.finished_parts import PartStore
from gpt_core.text import RowGroup, iter_documents, read_row_group_documents
from gpt_core.tokenizers.counting import input_of

SEED = 1
"""The seed of the numbers of documents."""
N_RANGES = 4096
"""Ranges of these numbers: a sample is at most one of them smaller than it may be."""


@dataclass(frozen=True, slots=True)
class LinesPart:
    """Row groups of the training split."""

    groups: tuple[RowGroup, ...]
    folder: Path


@dataclass(slots=True)
class LineCounts:
    """Documents and lines of each range."""

    documents: list[int]
    lines: list[int]


@dataclass(frozen=True, slots=True)
class Sample:
    """The documents whose range is below a limit."""

    n_ranges: int
    n_sampled: int
    n_documents: int

    def metrics(self) -> dict[str, float]:
        """``sampled_documents`` of ``counted_documents``, and ``sample_seed``."""
        return {
            "sampled_documents": float(self.n_sampled),
            "counted_documents": float(self.n_documents),
            "sample_seed": float(SEED),
        }

    def texts(self, documents: Artifact) -> Iterator[str]:
        """Stream the texts of the sample in the order of the corpus."""
        for document in iter_documents(documents, "train"):
            if range_of(document.id) < self.n_ranges:
                yield document.text


def range_of(document_id: str) -> int:
    """The range of a document's number.

    Example:
        >>> 0 <= range_of("a.txt#7") < N_RANGES
        True
    """
    digest = blake2b(f"{SEED} {document_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") * N_RANGES >> 64


def plan_sample(
    documents: Artifact,
    most_lines: int,
    planned: Sequence[tuple[RowGroup, ...]],
    store: PartStore,
    engine: Engine,
    progress: Progress | None,
) -> Sample:
    """Count the lines of all parts and choose the documents.

    Args:
        documents: The corpus.
        most_lines: Lines that the sample may have; with fewer in the corpus it is all of it.
        planned: The parts.
        store: Keeps the parts.
        engine: Runs the parts.
        progress: Called with ``documents``.
    """
    parts = [
        LinesPart(groups, store.folder("lines", number)) for number, groups in enumerate(planned)
    ]
    n_documents = 0

    def done(counts: LineCounts) -> None:
        nonlocal n_documents
        n_documents += sum(counts.documents)
        if progress is not None:
            progress("documents", n_documents, None)

    inputs = [input_of(documents, each.groups) for each in parts]
    made = store.run(engine, count_lines, parts, inputs, LineCounts, done=done)
    lines, counted = ([0] * N_RANGES for _ in range(2))
    for each in made:
        for number in range(N_RANGES):
            lines[number] += each.result.lines[number]
            counted[number] += each.result.documents[number]
    n_ranges = sum(total <= most_lines for total in accumulate(lines)) or 1
    return Sample(n_ranges, sum(counted[:n_ranges]), n_documents)


def count_lines(part: LinesPart) -> LineCounts:
    """Count the documents of a part and their lines, by the ranges of their numbers.

    Raises:
        DataError: If a file is missing or damaged.
    """
    counts = LineCounts([0] * N_RANGES, [0] * N_RANGES)
    for group in part.groups:
        for document in read_row_group_documents(group.file, group.number):
            number = range_of(document.id)
            counts.documents[number] += 1
            counts.lines[number] += document.text.count("\n") + 1
    return counts
