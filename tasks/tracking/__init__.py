"""MLflow: flows and stages as runs, metrics in batches. No other package imports it."""

from tasks.tracking.abandoned import close_abandoned
from tasks.tracking.lookup import artifact_of, find_stage_run
from tasks.tracking.metrics import MLflowCallback
from tasks.tracking.recent import metrics_since
from tasks.tracking.recorded import RecordedRun, read_run
from tasks.tracking.records import (
    FlowRecord,
    StageRecord,
    current_flow,
    tracked_flow,
    tracked_stage,
)
from tasks.tracking.store import client, run_link, runs_link, tracking_uri

__all__ = [
    "FlowRecord",
    "MLflowCallback",
    "RecordedRun",
    "StageRecord",
    "artifact_of",
    "client",
    "close_abandoned",
    "current_flow",
    "find_stage_run",
    "metrics_since",
    "read_run",
    "run_link",
    "runs_link",
    "tracked_flow",
    "tracked_stage",
    "tracking_uri",
]
