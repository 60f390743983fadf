"""The loss curves of a flow's pretraining, in the flow's own run, so that MLflow compares them."""

import time

from mlflow.entities import Metric

from gpt_core.artifact import Artifact
from gpt_core.callbacks import METRICS, read_records
from tasks.tracking.metrics import MetricSender
from tasks.tracking.names import CURVES
from tasks.tracking.store import client


def send_curves(run_id: str, checkpoint: Artifact) -> None:
    """Send the curves of a checkpoint's pretraining to a flow's run, each step once.

    While a model trains, its steps are sent as they come. This sends what is missing: all of them
    if the model was in the cache, or those that a server which was away did not get.

    Args:
        run_id: The flow's run.
        checkpoint: The model that the flow made or found; others than pretrained ones have none.
    """
    rows = read_records(checkpoint.directory.parent / METRICS)
    now = int(time.time() * 1000)
    points = [
        Metric(shown, float(row[name]), now, row["step"])
        for name, shown in CURVES.items()
        for row in rows
        if isinstance(row.get(name), int | float)
    ]
    MetricSender(client(), run_id).send(points)
