"""Tables of artifacts as DataFrames, for notebooks and for what stages record in MLflow."""

import pandas as pd
import pyarrow.parquet as pq

from gpt_core.artifact import REPORT, Artifact, is_timing
from gpt_core.callbacks import METRICS, SAMPLES, read_records
from gpt_core.files import read_json


def rules(corpus: Artifact) -> pd.DataFrame:
    """The effect of each cleaning rule.

    Args:
        corpus: A documents artifact.

    Returns:
        A row for each rule that changed a document: ``rule``, ``documents`` and
        ``characters_removed`` (counts), ``before`` and ``after`` (one example).
    """
    found = read_json(corpus.directory / "report.json")["rules"]
    return pd.DataFrame(
        {
            "rule": name,
            "documents": rule["documents"],
            "characters_removed": rule["characters_removed"],
            **rule["examples"][0],
        }
        for name, rule in found.items()
    )


def dropped(corpus: Artifact) -> pd.DataFrame:
    """The documents that the filters of a corpus found.

    Args:
        corpus: A documents artifact.

    Returns:
        A row for each reason: ``reason``, ``documents`` and ``characters`` (counts), ``example``.
    """
    report = read_json(corpus.directory / "report.json")
    found = dict(report.get("filters", {}))
    if near := report.get("near_duplicates"):
        found["near_duplicate"] = near
    return pd.DataFrame(
        {
            "reason": name,
            "documents": reason["documents"],
            "characters": reason["characters"],
            "example": str(next(iter(reason["examples"]), "")),
        }
        for name, reason in found.items()
    )


def training_metrics(checkpoint: Artifact) -> pd.DataFrame:
    """The metrics of a pretraining run, a row for each step that was logged.

    Args:
        checkpoint: A checkpoint in the directory of its run.
    """
    return pd.DataFrame(read_records(checkpoint.directory.parent / METRICS))


def training_samples(checkpoint: Artifact) -> pd.DataFrame:
    """The texts generated during a pretraining run: ``step``, ``prompt`` and ``text``.

    Args:
        checkpoint: A checkpoint in the directory of its run.
    """
    return pd.DataFrame(read_records(checkpoint.directory.parent / SAMPLES))


def predictions(checkpoint: Artifact) -> pd.DataFrame:
    """Every text of a classifier's test split with its label, prediction and probability."""
    return pd.read_parquet(checkpoint.directory / "predictions.parquet")


def confusion(checkpoint: Artifact) -> pd.DataFrame:
    """A classifier's confusion matrix: a row for each expected label, a count per prediction."""
    return pd.DataFrame(read_json(checkpoint.directory / "confusion.json"))


def mistakes(checkpoint: Artifact, n: int = 50) -> pd.DataFrame:
    """A classifier's worst mistakes on its test split: those with the highest loss first."""
    rows = predictions(checkpoint)
    wrong = rows[rows["expected"] != rows["predicted"]]
    return wrong.sort_values("loss", ascending=False).head(n).reset_index(drop=True)


def label_metrics(checkpoint: Artifact) -> pd.DataFrame:
    """Precision, recall, F1 and number of examples of each label of a classifier's test split."""
    return pd.DataFrame(read_json(checkpoint.directory / "labels.json"))


def reliability(checkpoint: Artifact) -> dict[str, pd.DataFrame]:
    """Confidence and accuracy of a classifier, ``calibrated`` and ``uncalibrated``."""
    curves = read_json(checkpoint.directory / "reliability.json")
    return {name: pd.DataFrame(rows) for name, rows in curves.items()}


def answers(checkpoint: Artifact) -> pd.DataFrame:
    """Every prompt of an instruction model's test split with the expected and the given answer."""
    return pd.read_parquet(checkpoint.directory / "answers.parquet")


def judgements(report: Artifact) -> pd.DataFrame:
    """Every answer that a judge scored, with its score or the reason why it has none."""
    return pd.read_parquet(report.directory / "judgements.parquet")


def prediction_counts(report: Artifact) -> pd.DataFrame:
    """Counts of a file's predictions: ``what``, ``rows`` and their ``fraction``.

    Args:
        report: A report on the predictions of a file.
    """
    content = read_json(report.directory / REPORT)
    counts = {row["label"]: row["rows"] for row in content["labels"]} or content["finished"]
    counts = {**counts, "not predicted": int(report.metrics()["unreadable_rows"])}
    total = report.metrics()["rows"]
    rows = [(name, count, count / total) for name, count in counts.items()]
    return pd.DataFrame(rows, columns=["what", "rows", "fraction"])


def predicted_rows(report: Artifact, n: int = 100) -> pd.DataFrame:
    """The first rows of a file's predictions.

    Args:
        report: A report on the predictions of a file.
        n: How many.
    """
    with pq.ParquetFile(report.directory / "predictions.parquet") as file:
        rows: pd.DataFrame = next(file.iter_batches(batch_size=n)).to_pandas()
    return rows


def report(report: Artifact) -> pd.DataFrame:
    """The metrics of a report: ``metric`` and ``value``."""
    return pd.DataFrame(report.metrics().items(), columns=["metric", "value"])


def report_table(report: Artifact, name: str) -> pd.DataFrame:
    """A table of a report by name; an empty frame if the report has none of that name.

    Args:
        report: A report artifact.
        name: Such as ``samples``, ``lambada``, ``hellaswag``, ``ranks`` or ``sentences``.
    """
    return pd.DataFrame(read_json(report.directory / REPORT).get(name, []))


def comparison(report: Artifact) -> pd.DataFrame:
    """A row of metrics for each tokenizer or checkpoint of a comparison, the first column its name.

    Args:
        report: The report of ``compare_tokenizers`` or ``compare_models``.
    """
    content = read_json(report.directory / REPORT)
    rows = pd.DataFrame(content.get("tokenizers") or content.get("checkpoints"))
    for name, value in report.metrics().items():
        subject, _, metric = name.rpartition("/")
        if is_timing(metric):
            rows.loc[rows.iloc[:, 0] == subject, metric] = value
    return rows
