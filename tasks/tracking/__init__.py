"""MLflow: flows and stages as runs, metrics in batches. No other package imports it."""

from tasks.tracking.abandoned import close_abandoned
from tasks.tracking.champions import champions
from tasks.tracking.fetched import registered_checkpoint
from tasks.tracking.lookup import artifact_of, find_stage_run
from tasks.tracking.metrics import MLflowCallback
from tasks.tracking.names import CURVES, in_order
from tasks.tracking.needed import Needed, needed_artifacts, note_removed, running_since
from tasks.tracking.recent import metrics_since
from tasks.tracking.recorded import RecordedRun, read_run
from tasks.tracking.records import (
    FlowRecord,
    StageRecord,
    current_flow,
    tracked_flow,
    tracked_stage,
)
from tasks.tracking.registry import RegisteredVersion
from tasks.tracking.store import (
    client,
    comparison_link,
    run_link,
    runs_link,
    tracking_uri,
    waiting_for_server,
)

__all__ = [
    "CURVES",
    "FlowRecord",
    "MLflowCallback",
    "Needed",
    "RecordedRun",
    "RegisteredVersion",
    "StageRecord",
    "artifact_of",
    "champions",
    "client",
    "close_abandoned",
    "comparison_link",
    "current_flow",
    "find_stage_run",
    "in_order",
    "metrics_since",
    "needed_artifacts",
    "note_removed",
    "read_run",
    "registered_checkpoint",
    "run_link",
    "running_since",
    "runs_link",
    "tracked_flow",
    "tracked_stage",
    "tracking_uri",
    "waiting_for_server",
]
