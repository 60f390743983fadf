"""Clean a corpus: plan its parts, clean each, drop duplicates over all of them, write the splits.

Which process works on a part, and how many there are, changes no byte of the result. Parts that are
finished are kept until the corpus is complete, see ``finished_parts``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

from gpt_core.artifact import Artifact, Draft, fingerprint_of, new_artifact
from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.engine import Engine, run_serially
from gpt_core.errors import ConfigError, DataError
from gpt_core.files import Progress, write_json
from gpt_core.finished_parts import Finished, PartStore, open_parts
from gpt_core.object_paths import Location
from gpt_core.text.cleaned_parts import (
    CleanedPart,
    Counts,
    RawPart,
    WrittenPart,
    clean_part,
    plan_written,
    write_part,
)
from gpt_core.text.cleaning import Cleaner, around_first_change
from gpt_core.text.corpus import SPLITS, read_document_file
from gpt_core.text.duplicates import find_repeated, plan_ranges
from gpt_core.text.screening import Screen
from gpt_core.text.similar_documents import group_documents, write_similar
from gpt_core.text.slices import PART_BYTES, Slice, plan_parts
from gpt_core.text.sources import source_path

_N_EXAMPLES = 3  # of near duplicates

Filtered = dict[str, Mapping[str, object]]
"""The parts of a report that the filters have, by their names in it."""
Examples = list[dict[str, str]]
"""Near duplicates, each with the text that it nearly equals."""


def clean_corpus(
    raw: Artifact,
    reading: ReadingConfig,
    cleaning: CleaningConfig,
    out_dir: Path,
    contamination: Artifact | None = None,
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
        contamination: The registered source of evaluation texts that the settings name.
        engine: Runs the parts.
        part_bytes: Bytes of the source in a part, about; the documents do not depend on it.
        progress: Called with ``documents``.

    Returns:
        A documents artifact with ``report.json``: counts and examples of each rule and filter.

    Raises:
        ConfigError: If a package that a filter needs is missing, or the evaluation texts are.
        DataError: If the source cannot be read, or no document is left to train on.
    """
    source, held = source_path(raw), _evaluation_texts(cleaning, contamination)
    origin = [raw] if contamination is None else [raw, contamination]
    planned, settings = plan_parts(source, reading, part_bytes), (reading, cleaning)
    with (
        open_parts(out_dir, keep=len(planned) > 1) as store,
        new_artifact(out_dir, kind="documents", config=settings, parents=origin) as draft,
    ):
        like = RawPart((), reading, cleaning, source.name, store.directory, held)
        parts = _number_parts(like, planned, store)
        work = _Work(store, engine, parts, [each.fingerprint for each in origin])
        cleaned = _clean_parts(work, progress)
        written, examples = _write_parts(work, cleaned)
        source_path(raw)  # no file appeared or changed meanwhile
        _publish(written, draft)
        _record(draft, source, work, [each.result for each in cleaned], written, examples)
        draft.info |= _compared(origin)
    return draft.artifact


def _number_parts(
    like: RawPart, planned: Sequence[tuple[Slice, ...]], store: PartStore
) -> list[RawPart]:
    """The parts, each with its folder, in everything else like one of them."""
    return [
        replace(like, slices=slices, folder=store.folder("cleaned", number))
        for number, slices in enumerate(planned)
    ]


@dataclass(frozen=True, slots=True)
class _Work:
    """The parts of a corpus, and what runs and keeps them."""

    store: PartStore
    engine: Engine
    parts: Sequence[RawPart]
    origin: Sequence[str]
    """Fingerprints of the source and of the evaluation texts."""


def _compared(origin: Sequence[Artifact]) -> dict[str, object]:
    """The evaluation texts, because parents in folders of the same name are recorded as one."""
    return {"compared": [each.fingerprint for each in origin[1:]]} if origin[1:] else {}


def _evaluation_texts(cleaning: CleaningConfig, contamination: Artifact | None) -> Location | None:
    if contamination is not None:
        return source_path(contamination)
    if cleaning.contamination is not None:
        raise ConfigError(
            f"cleaning.contamination={cleaning.contamination}: register that source and give it "
            "to clean_corpus as contamination"
        )
    return None


def _clean_parts(work: _Work, progress: Progress | None) -> list[Finished[CleanedPart]]:
    """Clean each part by itself."""
    alone = len(work.parts) == 1  # in this process
    read = 0

    def done(part: CleanedPart) -> None:
        nonlocal read
        read += part.counts.read
        if progress is not None and not alone:  # a part that is alone says so itself
            progress("documents", read, None)

    inputs = [
        (
            work.origin,
            part.reading,
            part.cleaning,
            [(piece.name, piece.start, piece.stop) for piece in part.slices],
        )
        for part in work.parts
    ]
    function = partial(clean_part, progress=progress) if alone else clean_part
    engine = run_serially if alone else work.engine
    cleaned = work.store.run(engine, function, work.parts, inputs, CleanedPart, done=done)
    if progress is not None:
        progress("documents", read, read)
    return cleaned


def _find_similar(work: _Work, basis: str) -> tuple[list[Path], Examples]:
    """Find the near duplicates of all parts, if they are to be dropped.

    Returns:
        The file of ``write_similar`` for each part, and the texts of some, with those that they
        nearly equal; equal ones are duplicates.
    """
    parts, cleaning = work.parts, work.parts[0].cleaning
    if not cleaning.near_duplicates:
        return [], []
    scratch = work.store.directory / "similar"
    scratch.mkdir(exist_ok=True)
    signed, targets = [], []
    for number, part in enumerate(parts):
        signed.append(part.signed)
        targets.append(scratch / f"part-{number:05d}.npy")
    engine = run_serially if len(parts) == 1 else work.engine
    similarity = cleaning.near_duplicate_similarity
    groups = group_documents(signed, similarity, work.store, engine, basis)
    pairs = write_similar(groups, signed, targets)
    wanted = {number for pair in pairs for number in pair}
    documents = chain.from_iterable(read_document_file(part.documents) for part in parts)
    texts = {
        number: document.text
        for number, document in enumerate(islice(documents, max(wanted, default=-1) + 1))
        if number in wanted
    }
    differing = [(one, other) for one, other in pairs if texts[one] != texts[other]]
    shown = (around_first_change(texts[one], texts[other]) for one, other in differing)
    return targets, [
        {"kept": each["before"], "dropped": each["after"]} for each in islice(shown, _N_EXAMPLES)
    ]


def _filtered(
    cleaning: CleaningConfig,
    cleaned: Sequence[CleanedPart],
    written: Sequence[WrittenPart],
    examples: Examples,
) -> Filtered:
    """The counts of the filters that are on, for the report."""
    found: Filtered = {}
    screen = Screen(CleaningConfig())  # it only adds up
    for each in cleaned:
        screen.merge(each.screened)
    if cleaning.languages or cleaning.quality or cleaning.contamination is not None:
        found["filters"] = screen.report()
    if cleaning.near_duplicates:
        found["near_duplicates"] = {
            "documents": sum(each.similar for each in written),
            "characters": sum(each.similar_characters for each in written),
            "examples": examples,
        }
    return found


def _filter_metrics(filtered: Filtered) -> dict[str, float]:
    """Documents that each filter found."""
    metrics = {}
    for reason, report in filtered.get("filters", {}).items():
        assert isinstance(report, dict)
        metrics[f"filtered_{reason}"] = float(report["documents"])
    if near := filtered.get("near_duplicates"):
        metrics["near_duplicates"] = float(str(near["documents"]))
    return metrics


def _write_parts(
    work: _Work, cleaned: Sequence[Finished[CleanedPart]]
) -> tuple[list[Finished[WrittenPart]], Examples]:
    """Find the repeated texts of all parts and write the others, by split.

    Returns:
        The parts, and examples of near duplicates.
    """
    store, parts, cleaning = work.store, work.parts, work.parts[0].cleaning
    basis = fingerprint_of([each.digest for each in cleaned])  # what follows depends on all parts
    repeated: list[Path] = []
    if cleaning.deduplicate:
        n_texts = sum(sum(each.result.kept) for each in cleaned)
        files = [part.hashes for part in parts]
        ranges = plan_ranges(files, n_texts, partial(store.folder, "repeated"))
        inputs = [(basis, each.start, each.stop) for each in ranges]
        store.run(work.engine, find_repeated, ranges, inputs, int)
        repeated = [each.target for each in ranges]
    similar, examples = _find_similar(work, basis)
    results = [each.result for each in cleaned]
    planned = plan_written(parts, results, repeated, similar, partial(store.folder, "written"))
    keys = [(basis, cleaning, number) for number in range(len(parts))]
    return store.run(work.engine, write_part, planned, keys, WrittenPart), examples


def _publish(written: Sequence[Finished[WrittenPart]], draft: Draft) -> None:
    """Put the files of the parts into the artifact; several parts make a folder of each split."""
    for split in SPLITS:
        if len(written) > 1:
            (draft.directory / split).mkdir()
        for number, part in enumerate(written):
            name = f"{split}/part-{number:05d}.parquet" if len(written) > 1 else f"{split}.parquet"
            part.publish(f"{split}.parquet", draft.directory / name, draft)


def _record(
    draft: Draft,
    source: Location,
    work: _Work,
    cleaned: Sequence[CleanedPart],
    written: Sequence[Finished[WrittenPart]],
    examples: Examples,
) -> None:
    """Add up the counts of all parts for the report, the metrics and the sizes of the splits."""
    cleaning, counted = work.parts[0].cleaning, [each.result for each in written]
    cleaner, counts = _add_up(cleaning, cleaned, counted)
    splits, filtered = _sizes(counted), _filtered(cleaning, cleaned, counted, examples)
    _require_training_text(source, counts, splits, filtered)
    draft.metrics |= _metrics(counts, splits) | _filter_metrics(filtered)
    _write_report(draft, cleaner, counts, splits, filtered)
    draft.info |= {"splits": splits}


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
    draft: Draft,
    cleaner: Cleaner,
    counts: Counts,
    splits: Mapping[str, Mapping[str, int]],
    filtered: Filtered,
) -> None:
    report = {"documents": asdict(counts), "splits": splits, "rules": cleaner.report()}
    write_json(draft.directory / "report.json", {**report, **filtered})


def _require_training_text(
    source: Location, counts: Counts, splits: Mapping[str, Mapping[str, int]], filtered: Filtered
) -> None:
    if splits["train"]["documents"] == 0:
        reasons = _filter_metrics(filtered).items()
        others = "".join(f"{count:.0f} {name}, " for name, count in reasons if count)
        raise DataError(
            f"{source} leaves no document to train on: {counts.read} read, "
            f"{counts.dropped_short} too short after cleaning, {counts.duplicates} duplicates, "
            f"{others}{splits['validation']['documents']} for validation, "
            f"{splits['test']['documents']} for the test"
        )


def _metrics(counts: Counts, splits: dict[str, dict[str, int]]) -> dict[str, float]:
    """Counts over all splits, then of each split."""
    metrics = asdict(counts)
    for name in ("documents", "characters"):
        metrics[name] = sum(split[name] for split in splits.values())
        metrics |= {f"{split}_{name}": sizes[name] for split, sizes in splits.items()}
    return {name: float(value) for name, value in metrics.items()}
