"""Read the beginning of a source, so that what cannot be used is found before anything starts."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.errors import DataError
from gpt_core.object_paths import Location
from gpt_core.text.cleaning import Cleaner
from gpt_core.text.corpus import Split, split_of
from gpt_core.text.minhash import Signer
from gpt_core.text.reading import read_texts, text_files
from gpt_core.text.records import require_unicode
from gpt_core.text.screening import Screen

_MAX_FILES = 1000  # of which the first text is read
_MAX_OBJECTS = 32  # of a store, which take a request or two each
_MAX_DOCUMENTS = 256  # of which it is known to which splits they go
_MAX_CLEANED = 1 << 22  # characters
_MAX_READ = 1 << 26  # characters


@dataclass(slots=True)
class TextProbe:
    """The documents of a small source by their splits, after cleaning."""

    documents: Counter[Split] = field(default_factory=Counter)
    """Documents of each split."""

    sizes: Counter[Split] = field(default_factory=Counter)
    """UTF-8 bytes of each split: at least as many as any tokenizer makes tokens."""


def probe_texts(
    path: Location, reading: ReadingConfig, cleaning: CleaningConfig
) -> TextProbe | None:
    """Read the first text of every file, and a small source completely.

    Args:
        path: A file or a folder.
        reading: How files become texts.
        cleaning: How they are cleaned and split.

    Returns:
        The documents by their splits; None for a source that was not read to its end.

    Raises:
        ConfigError: If a package that a filter needs is missing.
        DataError: If a file cannot be read, or there is no text but white space.
    """
    Screen(cleaning)  # a missing package or an unknown language is found now
    if cleaning.near_duplicates:
        Signer()
    files = [file for _, file in text_files(path, reading)]
    plain = replace(reading, boundaries=None)  # a table of boundaries is read with the whole text
    for file in files[: _MAX_FILES if isinstance(path, Path) else _MAX_OBJECTS]:
        has_table = reading.boundaries is not None and (file.parent / reading.boundaries).is_file()
        next(read_texts(file, reading if has_table else plain), None)
    if reading.boundaries is not None:
        return None
    size, texts = 0, list[tuple[str, str | None]]()
    for name, text in read_texts(path, reading):
        size += len(text)
        if len(texts) == _MAX_DOCUMENTS or size > _MAX_READ:
            return None
        texts.append((name, text if size <= _MAX_CLEANED else None))
    if not any(text is None or text.strip() for _, text in texts):
        raise DataError(f"{path} holds nothing but white space: there is no text to read")
    return _split(path, texts, cleaning)


def _split(
    path: Location, texts: list[tuple[str, str | None]], cleaning: CleaningConfig
) -> TextProbe:
    """Clean, drop and split documents as ``clean_corpus`` does."""
    cleaner, probe = Cleaner(cleaning), TextProbe()
    seen: set[str] = set()
    for name, original in texts:
        split = split_of(name, cleaning.validation_share, cleaning.test_share)
        if original is None:  # too long to be cleaned here, and so to be dropped
            probe.documents[split] += 1
            probe.sizes[split] += _MAX_CLEANED
            continue
        text = cleaner.clean(original)
        if len(text) < cleaning.min_characters or (text in seen and cleaning.deduplicate):
            continue
        require_unicode(text, f"{path}: the text {name}")
        seen.add(text)
        probe.documents[split] += 1
        probe.sizes[split] += len(text.encode())
    return probe
