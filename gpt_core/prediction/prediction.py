"""Predict the rows of a file with a checkpoint, in constant memory and in their order."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from gpt_core.artifact import REPORT, Artifact, is_timing, new_artifact
from gpt_core.checkpoints import CheckpointDescription
from gpt_core.config import DecodingConfig, PredictionConfig
from gpt_core.errors import DataError
from gpt_core.files import Progress, write_json
from gpt_core.models import adapter_fingerprint, description_with
from gpt_core.prediction.classifying import TextClassifier
from gpt_core.prediction.files import open_writers
from gpt_core.prediction.generating import TextGenerator
from gpt_core.prediction.generation_table import GenerationTable
from gpt_core.prediction.parts import Parts, split_parts
from gpt_core.prediction.summary import Summary
from gpt_core.prediction.tables import ClassifierTable, PredictionTable, predict_part
from gpt_core.text import (
    TableLayout,
    TableRow,
    WantedColumns,
    find_layout,
    local_path,
    read_rows,
)
from gpt_core.training.checkpoint import lock_run_dir, remove_leftovers

if TYPE_CHECKING:
    import pandas as pd

Source = Path | Iterable[str]
"""A file of rows, or texts."""


def predict_file(
    checkpoint: Artifact,
    source: Artifact,
    config: PredictionConfig,
    decoding: DecodingConfig,
    out_dir: Path,
    *,
    progress: Progress | None = None,
) -> Artifact:
    """Predict every row of a file; a stopped run continues, and its files are the same bytes.

    Args:
        checkpoint: A classifier, a language model, or one tuned on instructions.
        source: A registered file: CSV, TSV, JSON lines, a JSON array, Parquet, or ``.txt`` with a
            text in each line.
        config: How it is read, and what is written.
        decoding: How a language model samples; prompt i has the seed ``decoding.seed + i``.
        out_dir: Directory of the report.
        progress: Receives the rows that are done.

    Returns:
        A report artifact with ``predictions.parquet`` and ``predictions.csv``, which have a row for
        each of the file, in their order, and the counts of ``Summary``.

    Raises:
        DataError: If the file cannot be read, lacks a column, or none of its rows has a text.
        CheckpointError: If the checkpoint is damaged, its adapter does not belong to it, or another
            process predicts the same.
    """
    layout = find_columns_of(checkpoint, source, config)
    n_rows = sum(1 for _ in read_rows(layout))  # and every error of the file itself
    table = _load_table(checkpoint.directory, config, decoding)
    table.schema(layout, config.keep)
    started, computed, number = time.perf_counter(), 0, 0
    with lock_run_dir(out_dir):
        remove_leftovers(out_dir)
        parts = Parts(out_dir, (_without_path(config), decoding), (checkpoint, source))
        for number, rows in enumerate(split_parts(read_rows(layout), config.part_rows), start=1):
            make = partial(predict_part, table, rows, layout, config.keep)
            computed += len(rows) if parts.ensure(number, make) else 0
            if progress is not None:
                progress("rows", rows[-1].number + 1, n_rows)
        seconds = time.perf_counter() - started
        rate = {"rows_per_second": computed / seconds} if computed else {}
        return _merge(parts, number, table.schema(layout, config.keep), config, rate)


def _merge(
    parts: Parts, n_parts: int, schema: pa.Schema, config: PredictionConfig, rate: dict[str, float]
) -> Artifact:
    """Write the report in place of the parts."""
    summary = Summary(_describe(parts.parents[0].directory, config).labels)
    with new_artifact(
        parts.out_dir, kind="report", config=parts.config, parents=parts.parents
    ) as draft:
        folder = draft.directory
        with open_writers(folder, schema, escape_formulas=config.escape_formulas) as writers:
            for number in range(1, n_parts + 1):
                part = parts.read(number)
                summary.add(part)
                writers.write(part)
        if summary.unreadable == summary.rows:
            first = summary.problems[0] if summary.problems else "it has none"
            raise DataError(f"no row of the source could be predicted: {first}")
        draft.metrics |= summary.metrics() | rate
        lasting = {name: value for name, value in draft.metrics.items() if not is_timing(name)}
        content = {
            "metrics": lasting,
            "labels": summary.label_rows(),
            "finished": dict(sorted(summary.finished.items())),
            "unknown_labels": dict(summary.unknown.most_common(20)),
            "problems": summary.problems,
        }
        write_json(folder / REPORT, content)
        draft.info["report"] = "predictions"
    return draft.artifact


def find_columns(checkpoint: Path, source: Path, config: PredictionConfig) -> TableLayout:
    """Find the columns of a file that a checkpoint reads, without loading the model.

    Raises:
        DataError: If the file cannot be read or lacks a column.
        CheckpointError: If the checkpoint's description cannot be read.
    """
    return find_layout(source, _wanted(_describe(checkpoint, config), config), config.encoding)


def find_columns_of(
    checkpoint: Artifact, source: Artifact, config: PredictionConfig
) -> TableLayout:
    """``find_columns`` of a registered file."""
    return find_columns(checkpoint.directory, local_path(source), config)


def iter_predictions(
    checkpoint: Path,
    source: Source,
    config: PredictionConfig | None = None,
    decoding: DecodingConfig | None = None,
) -> Iterator[pa.Table]:
    """Predict the rows of a file or texts, a part at a time; see ``predict_file``.

    Args:
        checkpoint: The checkpoint's directory.
        source: A file, or texts.
        config: How a file is read; the columns of the predictions.
        decoding: How a language model samples.

    Yields:
        Tables with the columns of ``predictions.parquet``.

    Raises:
        DataError: If the file cannot be read or lacks a column.
        CheckpointError: If the checkpoint is damaged.
    """
    config, decoding = config or PredictionConfig(), decoding or DecodingConfig()
    wanted = _wanted(_describe(checkpoint, config), config)
    if isinstance(source, Path):
        layout = find_layout(source, wanted, config.encoding)
        rows = read_rows(layout)
    else:
        layout = TableLayout(
            path=Path("texts"), form="lines", encoding="utf-8", text=wanted.text, label=None,
            others=(),
        )  # fmt: skip
        rows = _rows_of_texts(source, wanted.text)
    table = _load_table(checkpoint, config, decoding)
    for part in split_parts(rows, config.part_rows):
        yield predict_part(table, part, layout, config.keep)


def predict(
    checkpoint: Path,
    source: Source,
    config: PredictionConfig | None = None,
    decoding: DecodingConfig | None = None,
) -> "pd.DataFrame":
    """Predict the rows of a file or texts as a DataFrame; ``iter_predictions`` streams them.

    Args:
        checkpoint: The checkpoint's directory.
        source: A file, or texts.
        config: How a file is read; the columns of the predictions.
        decoding: How a language model samples.

    Raises:
        DataError: If the file cannot be read, lacks a column, or has no row.
        CheckpointError: If the checkpoint is damaged.
    """
    parts = list(iter_predictions(checkpoint, source, config, decoding))
    if not parts:
        raise DataError("there is no row to predict")
    frame: pd.DataFrame = pa.concat_tables(parts).to_pandas()
    return frame


def _rows_of_texts(texts: Iterable[str], column: str) -> Iterator[TableRow]:
    for number, text in enumerate(texts):
        problem = None if text.strip() else f"row {number}: {column!r} is blank"
        yield TableRow(number, {column: text}, problem)


def _load_table(
    checkpoint: Path, config: PredictionConfig, decoding: DecodingConfig
) -> PredictionTable:
    """Load a checkpoint's model, with an adapter if there is one."""
    adapter = _adapter(config)
    if _describe(checkpoint, config).kind == "classifier":
        classifier = TextClassifier(checkpoint, config.device, config.batch_size, adapter)
        return ClassifierTable(classifier)
    return GenerationTable(TextGenerator(checkpoint, config.device, adapter), decoding)


def _adapter(config: PredictionConfig) -> Path | None:
    return None if config.adapter is None else Path(config.adapter)


def _describe(checkpoint: Path, config: PredictionConfig) -> CheckpointDescription:
    return description_with(checkpoint, _adapter(config))


def _without_path(config: PredictionConfig) -> PredictionConfig:
    """The settings as they are recorded: an adapter by its content, not by its place."""
    adapter = _adapter(config)
    return config if adapter is None else replace(config, adapter=adapter_fingerprint(adapter))


def _wanted(description: CheckpointDescription, config: PredictionConfig) -> WantedColumns:
    """The columns that a model reads."""
    keep: Sequence[str] = config.keep
    if description.kind == "classifier":
        return WantedColumns(
            text=config.text_column or "text",
            label=config.label_column,
            keep=tuple(keep),
            labels=description.labels or (),
        )
    if description.template is not None:
        text = config.text_column or "instruction"
        return WantedColumns(text=text, extra=("input",), keep=tuple(keep))
    return WantedColumns(text=config.text_column or "prompt", keep=tuple(keep))
