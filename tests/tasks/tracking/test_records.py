"""Flows and stages as nested MLflow runs."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import RunConfig
from gpt_core.errors import DataError
from tasks.tracking import FlowRecord, client, tracked_flow, tracked_stage
from tasks.tracking.store import experiment_id


def runs(stage: str) -> list[object]:
    return list(client().search_runs([experiment_id()], f"tags.stage = '{stage}'"))


def checkpoint(folder: Path, loss: float = 2.5) -> Artifact:
    with new_artifact(folder, kind="checkpoint", config={"model": {"n_layer": 2}}) as draft:
        (draft.directory / "model.safetensors").write_bytes(b"weights")
        (draft.directory / "training_state.pt").write_bytes(b"state")
        draft.metrics["validation_loss"] = loss
    return draft.artifact


def test_a_stage_is_recorded_below_its_flow(record: FlowRecord, tmp_path: Path) -> None:
    parent = checkpoint(tmp_path / "parent")
    settings = {"model": {"n_layer": 2}, "api_key": "hidden", "long": "x" * 9000}
    tags = {"prefect.task_run": "t"}
    with tracked_stage("pretrain", record, [parent], [settings], tags=tags) as s:
        s.log_table(pd.DataFrame([{"prompt": "a", "text": "b"}]), "samples")
        s.log_figure(Figure(), "loss")
        s.finish(parent)
    run = client().get_run(s.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "pretrain small"
    tags = run.data.tags
    assert tags["mlflow.parentRunId"] == record.run_id
    assert tags["prefect.flow_run"] == "f1"
    assert tags["prefect.task_run"] == "t"
    assert tags["parent.checkpoint"] == tags["fingerprint"] == parent.fingerprint
    assert tags["artifact"] == parent.path
    assert run.data.params["model.n_layer"] == "2"
    assert "hidden" not in run.data.params.values()
    assert len(run.data.params["long"]) == 500
    assert run.data.metrics == {"validation_loss": 2.5}
    assert [i.dataset.digest for i in run.inputs.dataset_inputs] == [parent.fingerprint]
    assert {f.path for f in client().list_artifacts(s.run_id)} == {"samples.json", "loss.png"}


def test_an_error_closes_flow_and_stage_with_its_message(home: Path) -> None:
    with (
        pytest.raises(DataError, match="no text"),
        tracked_flow("run", RunConfig(), {}) as flow,
        tracked_stage("clean_corpus", flow, [], [], tags={}) as stage,
    ):
        raise DataError("no text")
    for run_id in (flow.run_id, stage.run_id):
        run = client().get_run(run_id)
        assert run.info.status == "FAILED"
        assert run.data.tags["error"] == "no text"


def test_a_failed_flow_resumes_its_run_and_a_finished_one_does_not(home: Path) -> None:
    with pytest.raises(KeyboardInterrupt), tracked_flow("run", RunConfig(), {}) as first:
        raise KeyboardInterrupt
    assert client().get_run(first.run_id).info.status == "KILLED"
    with tracked_flow("run", RunConfig(), {"prefect.flow_run": "second"}) as second:
        pass
    assert second.run_id == first.run_id
    run = client().get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert "error" not in run.data.tags
    assert run.data.tags["prefect.flow_run"] == "second"
    with tracked_flow("run", RunConfig(), {}) as third:
        pass
    assert third.run_id != first.run_id


def test_other_settings_or_a_concurrent_flow_start_a_new_run(home: Path) -> None:
    with pytest.raises(RuntimeError), tracked_flow("run", RunConfig(), {}) as failed:
        raise RuntimeError
    same = RunConfig(source="x")
    with tracked_flow("run", same, {}) as other, tracked_flow("run", same, {}) as concurrent:
        pass
    assert len({failed.run_id, other.run_id, concurrent.run_id}) == 3


def test_a_deleted_run_is_not_resumed(home: Path, record: FlowRecord) -> None:
    remembered = home / "run.json"
    with (
        pytest.raises(RuntimeError),
        tracked_stage("pretrain", record, [], [], tags={}, remembered=remembered) as first,
    ):
        raise RuntimeError
    client().delete_run(first.run_id)
    with tracked_stage("pretrain", record, [], [], tags={}, remembered=remembered) as second:
        pass
    assert second.run_id != first.run_id
    assert not remembered.exists()


def test_a_model_is_registered_without_its_training_state_as_the_newest_version(
    record: FlowRecord, tmp_path: Path
) -> None:
    import mlflow

    from gpt_core.artifact import read_artifact, verify

    for loss in (2.5, 1.5):
        made = checkpoint(tmp_path / f"checkpoint-{loss}", loss)
        with tracked_stage("pretrain", record, [], [], tags={}) as stage:
            stage.log_model(made, "small-pretrained")
            stage.finish(made)
    version = client().get_model_version_by_alias("small-pretrained", "newest")
    assert version.version in (2, "2")
    assert version.run_id == stage.run_id
    logged = client().get_logged_model(str(version.source).removeprefix("models:/"))
    assert {m.key: m.value for m in logged.metrics} == {"validation_loss": 1.5}
    assert logged.params == {"model.n_layer": "2"}
    assert len(client().get_metric_history(stage.run_id, "validation_loss")) == 1
    fetched = Path(mlflow.artifacts.download_artifacts("models:/small-pretrained@newest"))
    verify(read_artifact(fetched, "checkpoint"))
    assert not (fetched / "training_state.pt").exists()
    assert (made.directory / "training_state.pt").exists()
