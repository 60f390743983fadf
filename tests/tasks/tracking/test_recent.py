"""The metrics of flows that ran lately are found by their runs in Prefect."""

from datetime import UTC, datetime, timedelta

from tasks.tracking import FlowRecord, metrics_since, tracked_stage
from tasks.tracking.runs import log_metrics


def test_flows_since_a_time_have_their_metrics(record: FlowRecord) -> None:
    log_metrics(record.run_id, {"result/test_loss": 1.5})
    with tracked_stage("evaluate", record, [], [], tags={}) as stage:
        log_metrics(stage.run_id, {"loss": 1.5})
    now = datetime.now(UTC)
    assert metrics_since(now - timedelta(hours=1)) == {"f1": {"result/test_loss": 1.5}}
    assert metrics_since(now + timedelta(hours=1)) == {}
