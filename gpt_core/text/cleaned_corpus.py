"""Clean a corpus: plan its parts, clean each, drop duplicates over all of them, write the splits.

Which process works on a part, and how many there are, changes no byte of the result.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.engine import Engine, run_serially
from gpt_core.errors import DataError
from gpt_core.files import Progress, write_json
from gpt_core.text.cleaned_parts import (
    CleanedPart,
    Counts,
    RawPart,
    WrittenPart,
    clean_part,
    plan_written,
    write_part,
)
from gpt_core.text.cleaning import Cleaner
from gpt_core.text.corpus import SPLITS
from gpt_core.text.duplicates import find_repeated, plan_ranges
from gpt_core.text.slices import PART_BYTES, plan_parts
from gpt_core.text.sources import source_path

_WORK = "parts"  # folder of what is removed when the splits are written


def clean_corpus(
    raw: Artifact,
    reading: ReadingConfig,
    cleaning: CleaningConfig,
    out_dir: Path,
    *,
    engine: Engine = run_serially,
    part_bytes: int = PART_BYTES,
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
        engine: Runs the parts.
        part_bytes: Bytes of the source in a part, about. The documents do not depend on it; a
            source of several parts has as many files for each split.
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
        work = draft.directory / _WORK
        parts = [
            RawPart(slices, reading, cleaning, source.name, work / f"part-{number:05d}")
            for number, slices in enumerate(plan_parts(source, reading, part_bytes))
        ]
        cleaned = _clean_parts(parts, engine, progress)
        written = _write_parts(parts, cleaned, draft.directory, engine)
        source_path(raw)  # no file appeared or changed meanwhile
        cleaner, counts = _add_up(cleaning, cleaned, written)
        splits = _sizes(written)
        _require_training_text(source, counts, splits)
        _write_report(draft.directory, cleaner, counts, splits)
        draft.info["splits"] = splits
        draft.metrics |= _metrics(counts, splits)
    return draft.artifact


def _clean_parts(
    parts: Sequence[RawPart], engine: Engine, progress: Progress | None
) -> list[CleanedPart]:
    """Clean each part by itself."""
    for part in parts:
        part.folder.mkdir(parents=True)
    read = 0

    def done(part: CleanedPart) -> None:
        nonlocal read
        read += part.counts.read
        if progress is not None:
            progress("documents", read, None)

    if len(parts) == 1:
        cleaned = [clean_part(parts[0], progress)]
        read = cleaned[0].counts.read
    else:
        cleaned = engine(clean_part, parts, done=done)
    if progress is not None:
        progress("documents", read, read)
    return cleaned


def _write_parts(
    parts: Sequence[RawPart], cleaned: Sequence[CleanedPart], folder: Path, engine: Engine
) -> list[WrittenPart]:
    """Find the repeated texts of all parts and write the others, by split."""
    repeated: list[Path] = []
    if parts[0].cleaning.deduplicate:
        n_texts = sum(sum(each.kept) for each in cleaned)
        ranges = plan_ranges([part.hashes for part in parts], n_texts, folder / _WORK)
        engine(find_repeated, ranges)
        repeated = [each.target for each in ranges]
    if len(parts) > 1:
        for split in SPLITS:
            (folder / split).mkdir()
    written = engine(write_part, plan_written(parts, cleaned, repeated, folder))
    shutil.rmtree(folder / _WORK)
    return written


def _add_up(
    cleaning: CleaningConfig, cleaned: Sequence[CleanedPart], written: Sequence[WrittenPart]
) -> tuple[Cleaner, Counts]:
    """The reports and the counts of all parts."""
    cleaner, counts = Cleaner(cleaning), Counts()
    for part in cleaned:
        cleaner.merge(part.reports)
        counts.add(part.counts)
    counts.duplicates = sum(part.duplicates for part in written)
    return cleaner, counts


def _sizes(written: Sequence[WrittenPart]) -> dict[str, dict[str, int]]:
    """Documents and characters of each split."""
    return {
        split: {
            "documents": sum(each.documents[number] for each in written),
            "characters": sum(each.characters[number] for each in written),
        }
        for number, split in enumerate(SPLITS)
    }


def _write_report(
    folder: Path, cleaner: Cleaner, counts: Counts, splits: Mapping[str, Mapping[str, int]]
) -> None:
    report = {"documents": asdict(counts), "splits": splits, "rules": cleaner.report()}
    write_json(folder / "report.json", report)


def _require_training_text(
    source: Path, counts: Counts, splits: Mapping[str, Mapping[str, int]]
) -> None:
    if splits["train"]["documents"] == 0:
        raise DataError(
            f"{source} leaves no document to train on: {counts.read} read, "
            f"{counts.dropped_short} too short after cleaning, {counts.duplicates} duplicates, "
            f"{splits['validation']['documents']} for validation, "
            f"{splits['test']['documents']} for the test"
        )


def _metrics(counts: Counts, splits: dict[str, dict[str, int]]) -> dict[str, float]:
    """Counts over all splits, then of each split."""
    metrics = asdict(counts)
    for name in ("documents", "characters"):
        metrics[name] = sum(split[name] for split in splits.values())
        metrics |= {f"{split}_{name}": sizes[name] for split, sizes in splits.items()}
    return {name: float(value) for name, value in metrics.items()}
