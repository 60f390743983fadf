"""Compose the rules by language and run them over a corpus in constant memory."""

import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from gpt_core.artifact import Artifact, Draft, new_artifact
from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.errors import DataError
from gpt_core.files import Progress, write_json
from gpt_core.text.arabic import arabic_rules
from gpt_core.text.corpus import SPLITS, Document, DocumentWriter, read_documents, split_of
from gpt_core.text.english import english_rules
from gpt_core.text.sources import source_path

_ARABIC_LETTER = re.compile("[\u0620-\u064a\u0671-\u06d3]")
_LATIN_LETTER = re.compile("[A-Za-z\u00c0-\u024f]")
_SCRIPT_SAMPLE = 2000  # characters that decide a document's script
_EXAMPLES = 3  # kept for each rule
_EXAMPLE_WIDTH = 80  # characters of one


def language_of(text: str) -> str:
    """``arabic`` or ``english``, by the script of most letters at the text's beginning.

    Example:
        >>> language_of("قال: hello")
        'english'
    """
    sample = text[:_SCRIPT_SAMPLE]
    arabic = len(_ARABIC_LETTER.findall(sample))
    return "arabic" if arabic > len(_LATIN_LETTER.findall(sample)) else "english"


@dataclass(slots=True)
class RuleReport:
    """What one rule did."""

    characters_removed: int = 0
    documents: int = 0
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, before: str, after: str) -> None:
        """Count one document that the rule changed."""
        self.characters_removed += len(before) - len(after)
        self.documents += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(_around_first_change(before, after))


class Cleaner:
    """Applies the rules and remembers what each of them did.

    Args:
        config: The switches.
    """

    def __init__(self, config: CleaningConfig) -> None:
        self.language = config.language
        self.rules = {
            "arabic": arabic_rules(config), "english": english_rules(config), "none": ()
        }  # fmt: skip
        self.reports: dict[str, RuleReport] = {}

    def clean(self, text: str) -> str:
        """One document's text after all rules of its language."""
        language = language_of(text) if self.language == "auto" else self.language
        for rule in self.rules[language]:
            cleaned = rule.apply(text)
            if cleaned != text:
                self.reports.setdefault(rule.name, RuleReport()).add(text, cleaned)
            text = cleaned
        return text


def clean_corpus(
    raw: Artifact,
    reading: ReadingConfig,
    cleaning: CleaningConfig,
    out_dir: Path,
    *,
    progress: Progress | None = None,
) -> Artifact:
    """Raw text to clean documents in three splits, without duplicates.

    Duplicates are found after cleaning and before the split, so that no text of the training part
    stands in another; of equal documents the first stays.

    Args:
        raw: A registered source.
        reading: How it becomes documents.
        cleaning: Which rules apply, and the shares of the splits.
        out_dir: Where the documents go.
        progress: Told of ``documents``.

    Returns:
        A documents artifact with ``report.json``: what each rule removed, with examples.

    Raises:
        DataError: If the source cannot be read, or nothing is left to train on.
    """
    source = source_path(raw)
    with new_artifact(
        out_dir, kind="documents", config=(reading, cleaning), parents=[raw]
    ) as draft:
        cleaner, counts = Cleaner(cleaning), {"read": 0, "duplicates": 0, "dropped_short": 0}
        documents = _kept(read_documents(source, reading), cleaner, cleaning, counts, progress)
        splits = _write_splits(documents, cleaning, draft)
        if splits["train"]["documents"] == 0:
            raise DataError(
                f"{source} leaves no document to train on: {counts['read']} read, "
                f"{counts['dropped_short']} too short after cleaning, "
                f"{counts['duplicates']} duplicates"
            )
        write_json(draft.directory / "report.json", _report(cleaner, counts, splits))
        draft.info["splits"] = splits
        draft.metrics |= {name: float(count) for name, count in counts.items()}
        for split, figures in splits.items():
            draft.metrics |= {f"{split}_{name}": float(n) for name, n in figures.items()}
    return draft.artifact


def _kept(
    documents: Iterator[Document],
    cleaner: Cleaner,
    config: CleaningConfig,
    counts: dict[str, int],
    progress: Progress | None,
) -> Iterator[Document]:
    """Clean documents that are long enough and not there yet."""
    with ExitStack() as stack:
        is_new = stack.enter_context(_Seen()).add if config.deduplicate else _always
        for document in documents:
            counts["read"] += 1
            if progress is not None and counts["read"] % 500 == 0:
                progress("documents", counts["read"], None)
            text = cleaner.clean(document.text)
            if len(text) < config.min_characters:
                counts["dropped_short"] += 1
            elif not is_new(text):
                counts["duplicates"] += 1
            else:
                yield Document(document.id, text, document.source)
        if progress is not None:
            progress("documents", counts["read"], counts["read"])


def _write_splits(
    documents: Iterator[Document], config: CleaningConfig, draft: Draft
) -> dict[str, dict[str, int]]:
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(DocumentWriter(draft.directory / f"{split}.parquet"))
            for split in SPLITS
        }
        for document in documents:
            split = split_of(document.id, config.validation_share, config.test_share)
            writers[split].write(document)
    return {
        split: {"documents": writer.n_documents, "characters": writer.n_characters}
        for split, writer in writers.items()
    }


class _Seen:
    """A set of texts, kept as 16-byte hashes on disk so that memory does not grow with it."""

    def __enter__(self) -> "_Seen":
        self._folder = tempfile.TemporaryDirectory(prefix="gptflow-seen-")
        self._database = sqlite3.connect(Path(self._folder.name) / "seen.db", isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-65536"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE seen (hash BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")
        return self

    def add(self, text: str) -> bool:
        """Note a text; False if it was there already."""
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,))
        return added.rowcount == 1

    def __exit__(self, *error: object) -> None:
        self._database.close()
        self._folder.cleanup()


_always: Callable[[str], bool] = lambda text: True  # noqa: E731


def _report(
    cleaner: Cleaner, counts: dict[str, int], splits: dict[str, dict[str, int]]
) -> dict[str, Any]:
    rules = {
        name: {
            "characters_removed": report.characters_removed,
            "documents": report.documents,
            "examples": report.examples,
        }
        for name, report in sorted(cleaner.reports.items())
    }
    return {"documents": counts, "splits": splits, "rules": rules}


def _around_first_change(before: str, after: str) -> dict[str, str]:
    """The place where two texts first differ, with a little of what surrounds it."""
    shared = zip(before, after, strict=False)
    first = next((i for i, (a, b) in enumerate(shared) if a != b), min(len(before), len(after)))
    start = max(0, first - _EXAMPLE_WIDTH // 4)
    return {
        "before": before[start : start + _EXAMPLE_WIDTH],
        "after": after[start : start + _EXAMPLE_WIDTH],
    }
