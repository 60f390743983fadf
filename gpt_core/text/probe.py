"""Read the beginning of a source, so that what cannot be used is found before anything starts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text.cleaning import Cleaner
from gpt_core.text.corpus import Split, split_of
from gpt_core.text.reading import read_texts
from gpt_core.text.records import require_unicode
from gpt_core.text.sources import source_files

_MAX_FILES = 1000  # of which the first text is read
_MAX_DOCUMENTS = 256  # of which it is known to which splits they go
_MAX_CHARACTERS = 1 << 22


@dataclass(slots=True)
class TextProbe:
    """The documents of a small source by their splits, after cleaning."""

    documents: Counter[Split] = field(default_factory=Counter)
    """Documents of each split."""

    sizes: Counter[Split] = field(default_factory=Counter)
    """UTF-8 bytes of each split: at least as many as any tokenizer makes tokens."""


def probe_texts(path: Path, reading: ReadingConfig, cleaning: CleaningConfig) -> TextProbe | None:
    """Read the first text of every file, and a small source completely.

    Args:
        path: A file or a folder.
        reading: How files become texts.
        cleaning: How they are cleaned and split.

    Returns:
        The documents by their splits; None for a source that was not read to its end.

    Raises:
        DataError: If a file cannot be read, or there is no text but white space.
    """
    files = source_files(path)
    if path.is_dir():
        files = [file for file in files if file.name != reading.boundaries]
    plain = replace(reading, boundaries=None)  # a table of boundaries is read with the whole text
    for file in files[:_MAX_FILES]:
        next(read_texts(file, plain), None)
    if reading.boundaries is not None:
        return None
    texts = list(islice(_with_limit(read_texts(path, reading)), _MAX_DOCUMENTS + 1))
    is_complete = len(texts) <= _MAX_DOCUMENTS and texts[-1:] != [_TOO_MUCH]
    if not is_complete:
        return None
    if not any(text.strip() for _, text in texts):
        raise DataError(f"{path} holds nothing but white space: there is no text to read")
    return _split(path, texts, cleaning)


_TOO_MUCH = ("", "")
"""The last item where the limit of characters ended the reading."""


def _with_limit(texts: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    size = 0
    for name, text in texts:
        size += len(text)
        if size > _MAX_CHARACTERS:
            yield _TOO_MUCH
            return
        yield name, text


def _split(path: Path, texts: list[tuple[str, str]], cleaning: CleaningConfig) -> TextProbe:
    """Clean, drop and split documents as ``clean_corpus`` does."""
    cleaner, probe = Cleaner(cleaning), TextProbe()
    seen: set[str] = set()
    for name, original in texts:
        text = cleaner.clean(original)
        if len(text) < cleaning.min_characters or (text in seen and cleaning.deduplicate):
            continue
        require_unicode(text, f"{path}: the text {name}")
        seen.add(text)
        split = split_of(name, cleaning.validation_share, cleaning.test_share)
        probe.documents[split] += 1
        probe.sizes[split] += len(text.encode())
    return probe
