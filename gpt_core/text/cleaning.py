"""Clean a corpus by the rules of each language, in constant memory."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.errors import DataError
from gpt_core.files import Progress, write_json
from gpt_core.text.arabic import arabic_rules
from gpt_core.text.corpus import SPLITS, Document, DocumentWriter, read_documents, split_of
from gpt_core.text.duplicates import SeenTexts
from gpt_core.text.english import english_rules
from gpt_core.text.sources import source_path

_ARABIC_LETTER = re.compile("[\u0620-\u064a\u066e-\u06d3\u0750-\u077f\ufb50-\ufdff\ufe76-\ufefc]")
_LATIN_LETTER = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_SCRIPT_SAMPLE = 2000  # first characters of a document, by which its script is detected
_N_EXAMPLES = 3  # recorded for each rule
_EXAMPLE_WIDTH = 80  # characters
_DOCUMENTS_PER_PROGRESS = 500


def language_of(text: str) -> str:
    """Detect ``arabic`` or ``english`` by the script of most letters in the first 2,000 characters.

    Example:
        >>> language_of("قال: hello")
        'english'
    """
    sample = text[:_SCRIPT_SAMPLE]
    arabic = len(_ARABIC_LETTER.findall(sample))
    return "arabic" if arabic > len(_LATIN_LETTER.findall(sample)) else "english"


@dataclass(slots=True)
class RuleReport:
    """How much one rule removed, with examples."""

    characters_removed: int = 0
    documents: int = 0
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, before: str, after: str) -> None:
        """Count a document that the rule changed."""
        self.characters_removed += len(before) - len(after)
        self.documents += 1
        if len(self.examples) < _N_EXAMPLES:
            self.examples.append(_around_first_change(before, after))


class Cleaner:
    """Applies the cleaning rules and reports how much each of them removed.

    Args:
        config: The language and the switches of its rules.
    """

    def __init__(self, config: CleaningConfig) -> None:
        self.language = config.language
        self.rules = {
            "arabic": arabic_rules(config), "english": english_rules(config), "none": ()
        }  # fmt: skip
        self.reports: dict[str, RuleReport] = {}

    def clean(self, text: str) -> str:
        """Apply all rules of a document's language to its text."""
        language = language_of(text) if self.language == "auto" else self.language
        for rule in self.rules[language]:
            cleaned = rule.apply(text)
            if cleaned != text:
                self.reports.setdefault(rule.name, RuleReport()).add(text, cleaned)
            text = cleaned
        return text

    def report(self) -> dict[str, dict[str, object]]:
        """The reports by rule, in the order of the rules, without rules that changed nothing."""
        order = [rule.name for rules in self.rules.values() for rule in rules]
        return {name: asdict(self.reports[name]) for name in order if name in self.reports}


@dataclass(slots=True)
class Counts:
    """Counts of documents read and dropped."""

    read: int = 0
    duplicates: int = 0
    dropped_short: int = 0


def clean_corpus(
    raw: Artifact,
    reading: ReadingConfig,
    cleaning: CleaningConfig,
    out_dir: Path,
    *,
    progress: Progress | None = None,
) -> Artifact:
    """Clean raw text, drop duplicates and split it into train, validation and test documents.

    Duplicates are dropped after cleaning and before the split, so that no training text occurs in
    validation or test; the first of equal documents is kept.

    Args:
        raw: A registered source.
        reading: How files become documents.
        cleaning: Which rules apply, and the fractions of the splits.
        out_dir: Directory of the artifact.
        progress: Called with ``documents``.

    Returns:
        A documents artifact with ``report.json``: how much each rule removed, with examples.

    Raises:
        DataError: If the source cannot be read, or no document is left to train on.
    """
    source = source_path(raw)
    with new_artifact(
        out_dir, kind="documents", config=(reading, cleaning), parents=[raw]
    ) as draft:
        cleaner, counts = Cleaner(cleaning), Counts()
        with SeenTexts(draft.directory / "seen.db") as seen:
            documents = read_documents(source, reading)
            kept = _clean_documents(documents, cleaner, cleaning, seen, counts, progress)
            splits = _write_splits(kept, cleaning, draft.directory)
        source_path(raw)  # no file appeared or changed meanwhile
        if splits["train"]["documents"] == 0:
            raise DataError(
                f"{source} leaves no document to train on: {counts.read} read, "
                f"{counts.dropped_short} too short after cleaning, {counts.duplicates} duplicates, "
                f"{splits['validation']['documents']} for validation, "
                f"{splits['test']['documents']} for the test"
            )
        report = {"documents": asdict(counts), "splits": splits, "rules": cleaner.report()}
        write_json(draft.directory / "report.json", report)
        draft.info["splits"] = splits
        draft.metrics |= _metrics(counts, splits)
    return draft.artifact


def _clean_documents(
    documents: Iterator[Document],
    cleaner: Cleaner,
    config: CleaningConfig,
    seen: SeenTexts,
    counts: Counts,
    progress: Progress | None,
) -> Iterator[Document]:
    """Clean the documents and drop those that are too short or duplicates."""
    for document in documents:
        counts.read += 1
        if progress is not None and counts.read % _DOCUMENTS_PER_PROGRESS == 0:
            progress("documents", counts.read, None)
        text = cleaner.clean(document.text)
        if len(text) < config.min_characters:
            counts.dropped_short += 1
        elif not seen.add(_encoded(text, document.id)) and config.deduplicate:
            counts.duplicates += 1
        else:
            yield Document(document.id, text, document.source)
    if progress is not None:
        progress("documents", counts.read, counts.read)


def _encoded(text: str, document_id: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"the document {document_id} holds U+{ord(text[error.start]):04X}, half of a character "
            "that no file can hold: set cleaning.strip_controls=true, and a language"
        ) from error


def _write_splits(
    documents: Iterator[Document], config: CleaningConfig, folder: Path
) -> dict[str, dict[str, int]]:
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(DocumentWriter(folder / f"{split}.parquet"))
            for split in SPLITS
        }
        for document in documents:
            split = split_of(document.id, config.validation_share, config.test_share)
            writers[split].write(document)
    return {
        split: {"documents": writer.n_documents, "characters": writer.n_characters}
        for split, writer in writers.items()
    }


def _metrics(counts: Counts, splits: dict[str, dict[str, int]]) -> dict[str, float]:
    """Counts over all splits, then of each split."""
    metrics = asdict(counts)
    for name in ("documents", "characters"):
        metrics[name] = sum(split[name] for split in splits.values())
        metrics |= {f"{split}_{name}": sizes[name] for split, sizes in splits.items()}
    return {name: float(value) for name, value in metrics.items()}


def _around_first_change(before: str, after: str) -> dict[str, str]:
    """Excerpts of two texts around the place where they first differ."""
    pairs = zip(before, after, strict=False)
    first = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(before), len(after)))
    start = max(0, first - _EXAMPLE_WIDTH // 4)
    return {
        name: text[start : start + _EXAMPLE_WIDTH].encode("utf-8", "backslashreplace").decode()
        for name, text in (("before", before), ("after", after))
    }
