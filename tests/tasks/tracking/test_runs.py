"""Runs are created and written in the batches that MLflow takes."""

from pathlib import Path

from tasks.tracking import FlowRecord, client
from tasks.tracking.runs import create_run, log_metrics, log_params, run_tags


def test_more_parameters_than_a_request_holds_are_recorded(
    registry_home: Path, flow: FlowRecord
) -> None:
    run_id = create_run("many", {"stage": "test"}, flow.experiment)
    params = {f"section.field_{n}": str(n) for n in range(250)}
    log_params(run_id, params)
    log_metrics(run_id, {"loss (nats)": 2.5})
    log_metrics(run_id, {})
    run = client().get_run(run_id)
    assert run.data.params == params
    assert run.data.metrics == {"loss _nats_": 2.5}
    assert run.info.experiment_id == flow.experiment
    assert run.data.tags["stage"] == "test"


def test_tags_are_entities() -> None:
    assert [(tag.key, tag.value) for tag in run_tags({"a": "1"})] == [("a", "1")]
