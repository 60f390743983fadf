"""The two functions that clean one part of a corpus: first by itself, then in view of all others.

``clean_part`` reads and cleans a part's documents and writes those that are long enough, with the
hashes of their texts. When all parts are done, it is known which texts an earlier part has and how
many documents of a file came before: ``write_part`` drops the one, numbers by the other and writes
the documents of each split.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.errors import DataError
from gpt_core.files import Progress
from gpt_core.object_paths import Location
from gpt_core.text.cleaning import Cleaner, RuleReport
from gpt_core.text.corpus import SPLITS, Document, DocumentWriter, read_document_file, split_of
from gpt_core.text.duplicates import hash_text, read_repeated, write_hashes
from gpt_core.text.minhash import Signer, band_rows
from gpt_core.text.overlap import read_evaluation_texts
from gpt_core.text.reading import read_file
from gpt_core.text.screening import ReasonReport, Screen
from gpt_core.text.signature_files import SignatureFiles, write_bands, write_signature
from gpt_core.text.similar_documents import read_similar
from gpt_core.text.slices import Slice, read_slice

_DOCUMENTS_PER_PROGRESS = 500
_FOUND_AGAIN = 1 << 32  # bytes of a file that are read again to say in which line an error is


@dataclass(frozen=True, slots=True)
class RawPart:
    """A part of a source, and how it is cleaned."""

    slices: tuple[Slice, ...]
    reading: ReadingConfig
    cleaning: CleaningConfig
    source: str
    """The source's name, which its documents have."""

    folder: Path
    """The folder for what is kept; it exists when ``clean_part`` is called."""

    held: Location | None = None
    """The evaluation texts, which documents are compared with."""

    @property
    def documents(self) -> Path:
        """The file of the documents that are kept, numbered from the beginning of their slice."""
        return self.folder / "documents.parquet"

    @property
    def hashes(self) -> Path:
        """The file of the hashes of their texts, see ``write_hashes``."""
        return self.folder / "hashes.npy"

    @property
    def signed(self) -> SignatureFiles:
        """The files of their signatures, by which near duplicates are found."""
        return SignatureFiles(self.folder)

    def screen(self) -> Screen:
        """The filters that documents pass through after they are cleaned."""
        if self.held is None:
            return Screen(self.cleaning)
        return Screen(self.cleaning, read_evaluation_texts(self.held, self.reading))


@dataclass(slots=True)
class Counts:
    """Counts of documents read and dropped."""

    read: int = 0
    duplicates: int = 0
    dropped_short: int = 0

    def add(self, other: "Counts") -> None:
        """Add the counts of another part."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(slots=True)
class CleanedPart:
    """The counts of ``clean_part``."""

    counts: Counts = field(default_factory=Counts)
    reports: Mapping[str, RuleReport] = field(default_factory=dict)
    screened: Mapping[str, ReasonReport] = field(default_factory=dict)
    read: list[int] = field(default_factory=list)
    """Documents read from each slice."""

    kept: list[int] = field(default_factory=list)
    """Documents kept of each slice."""


def clean_part(part: RawPart, progress: Progress | None = None) -> CleanedPart:
    """Clean the documents of a part and write those that the filters keep, with their hashes.

    Raises:
        ConfigError: If a package that a filter needs is missing.
        DataError: If a file cannot be read or a text cannot be written.
    """
    cleaner, found, hashes = Cleaner(part.cleaning), CleanedPart(), bytearray()
    screen, signer = part.screen(), Signer() if part.cleaning.near_duplicates else None
    with (
        DocumentWriter(part.documents, compression="lz4") as writer,
        part.signed.signatures.open("wb") if signer is not None else nullcontext() as signatures,
    ):
        for piece in part.slices:
            read, kept = found.counts.read, writer.n_documents
            for document_id, text, encoded in _clean_slice(piece, part, cleaner):
                found.counts.read += 1
                if progress is not None and found.counts.read % _DOCUMENTS_PER_PROGRESS == 0:
                    progress("documents", found.counts.read, None)
                if len(text) < part.cleaning.min_characters:
                    found.counts.dropped_short += 1
                elif screen.keeps(text):
                    if signer is not None and signatures is not None:
                        write_signature(signatures, signer.sign(text))
                    hashes += hash_text(encoded)
                    writer.write(Document(document_id, text, part.source))
            found.read.append(found.counts.read - read)
            found.kept.append(writer.n_documents - kept)
    write_hashes(part.hashes, hashes)
    if signer is not None:
        write_bands(part.signed, band_rows(part.cleaning.near_duplicate_similarity))
    found.reports, found.screened = cleaner.reports, screen.reports
    return found


def _clean_slice(piece: Slice, part: RawPart, cleaner: Cleaner) -> Iterator[tuple[str, str, bytes]]:
    """The id, the cleaned text and its bytes of each document of a slice.

    An error in the middle of a file is looked for again from the beginning of the file, to name
    the line or the document as if the file had been read at once.
    """
    try:
        for document_id, text in read_slice(piece, part.reading):
            cleaned = cleaner.clean(text)
            yield document_id, cleaned, _encode(cleaned, document_id)
    except DataError:
        if piece.start and piece.stop is not None and piece.stop < _FOUND_AGAIN:
            again = Cleaner(part.cleaning)
            for document_id, text in read_file(piece.file, piece.name, part.reading):
                _encode(again.clean(text), document_id)
        raise


def _encode(text: str, document_id: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"the document {document_id} holds U+{ord(text[error.start]):04X}, half of a character "
            "that no file can hold: set cleaning.strip_controls=true, and a language"
        ) from error


@dataclass(frozen=True, slots=True)
class SplitPart:
    """A cleaned part, and what is known of it when all parts are cleaned."""

    documents: Path
    """The file that ``clean_part`` wrote."""

    n_continued: int
    """Documents at its beginning that continue a file of earlier parts."""

    offset: int
    """Documents of that file in earlier parts."""

    repeated: tuple[Path, ...]
    """The files of ``find_repeated``; none if repeated texts are kept."""

    number: int
    """The part's number in them."""

    similar: Path | None
    """The file of ``write_similar``; None if near duplicates are kept."""

    cleaning: CleaningConfig
    folder: Path
    """The folder for a file of each split; it exists when ``write_part`` is called."""


@dataclass(slots=True)
class WrittenPart:
    """The counts of ``write_part``; the sizes by split."""

    duplicates: int
    similar: int
    similar_characters: int
    documents: list[int]
    characters: list[int]


def write_part(part: SplitPart) -> WrittenPart:
    """Write the documents of a part, without those whose text an earlier one has, by split.

    Raises:
        DataError: If a file cannot be read.
    """
    repeated = read_repeated(part.repeated, part.number)
    similar = frozenset() if part.similar is None else read_similar(part.similar) - repeated
    similar_characters = 0
    held_out = part.cleaning.validation_share, part.cleaning.test_share
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(DocumentWriter(part.folder / f"{split}.parquet"))
            for split in SPLITS
        }
        for row, document in enumerate(read_document_file(part.documents)):
            if row in repeated:
                continue
            if row in similar:
                similar_characters += len(document.text)
                continue
            document_id = document.id
            if row < part.n_continued:
                document_id = _add_to_number(document_id, part.offset)
            kept = Document(document_id, document.text, document.source)
            writers[split_of(document_id, *held_out)].write(kept)
    return WrittenPart(
        len(repeated),
        len(similar),
        similar_characters,
        [writer.n_documents for writer in writers.values()],
        [writer.n_characters for writer in writers.values()],
    )


def plan_written(
    raw: Sequence[RawPart],
    cleaned: Sequence[CleanedPart],
    repeated: Sequence[Path],
    similar: Sequence[Path],
    folder: Callable[[int], Path],
) -> list[SplitPart]:
    """Plan the second step: the numbers of the documents, and where the splits are written.

    Args:
        raw: The parts.
        cleaned: What was counted in each of them.
        repeated: The files of ``find_repeated``; none if repeated texts are kept.
        similar: The file of ``write_similar`` for each part; none if near duplicates are kept.
        folder: The folder of each part, by its number.
    """
    planned, before = [], Counter[Location]()
    for number, (part, counted) in enumerate(zip(raw, cleaned, strict=True)):
        continues = bool(part.slices) and part.slices[0].start > 0
        planned.append(
            SplitPart(
                documents=part.documents,
                n_continued=counted.kept[0] if continues else 0,
                offset=before[part.slices[0].file] if continues else 0,
                repeated=tuple(repeated),
                number=number,
                similar=similar[number] if similar else None,
                cleaning=part.cleaning,
                folder=folder(number),
            )
        )
        for piece, count in zip(part.slices, counted.read, strict=True):
            before[piece.file] += count
    return planned


def _add_to_number(document_id: str, offset: int) -> str:
    """Add to the number at the end of an id.

    Example:
        >>> _add_to_number("a.txt#7", 100)
        'a.txt#107'
    """
    name, _, number = document_id.rpartition("#")
    return f"{name}#{int(number) + offset}"
