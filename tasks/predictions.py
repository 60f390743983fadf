"""The stage that predicts a file, and the copy of its result that the user asked for."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath

from gpt_core.artifact import Artifact
from gpt_core.config import DecodingConfig, PredictionConfig
from gpt_core.files import atomic_write, disk_errors
from tasks import tables
from tasks.paths import expand_path
from tasks.reporting import report_table
from tasks.stage import StageRun, stage


@stage(package="prediction", kind="report", days=30, resumable=True, ignore=("adapter",))
def predict_file(
    run: StageRun,
    checkpoint: Artifact,
    source: Artifact,
    config: PredictionConfig,
    decoding: DecodingConfig,
    adapter: Path | None,
    recorded: Mapping[str, str],
) -> Artifact:
    """Predict the rows of a file, see ``gpt_core.prediction.predict_file``.

    Where the adapter is changes no prediction; ``recorded`` says what is in it.
    """
    from gpt_core import prediction

    if adapter is not None:
        config = replace(config, adapter=str(adapter))
    run.record.log_model_input(checkpoint)
    for notice in prediction.find_columns_of(checkpoint, source, config).notices:
        run.display.notice(notice)
    report = prediction.predict_file(
        checkpoint, source, config, decoding, run.out_dir, progress=run.progress
    )
    counts = tables.prediction_counts(report)
    run.record.log_table(counts, "counts")
    run.record.log_table(tables.predicted_rows(report), "first_rows")
    report_table("predictions", counts, [], run.record.link)
    return report


def copy_predictions(report: Artifact, out: str) -> Path:
    """Copy predictions to where the user asked for them, Parquet or CSV by the suffix.

    Args:
        report: The report of ``predict_file``.
        out: A file, replaced if it is there.

    Returns:
        The file.

    Raises:
        DataError: If it cannot be written.
    """
    target = expand_path(out).absolute()
    source = report.directory / f"predictions{PurePath(out).suffix.lower()}"
    with disk_errors(target), atomic_write(target) as copy, source.open("rb") as original:
        shutil.copyfileobj(original, copy)
    return target
