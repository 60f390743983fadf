"""Flows and stages as nested MLflow runs."""

import json
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from models import write_checkpoint

from flows.forms import to_form
from gpt_core.artifact import Artifact
from gpt_core.callbacks import METRICS
from gpt_core.config import RunConfig, load_config
from gpt_core.errors import DataError
from tasks.tracking import FlowRecord, client, tracked_flow, tracked_stage
from tasks.tracking.registry import versions, with_alias
from tasks.tracking.store import experiment_id


def runs(stage: str) -> list[object]:
    return list(client().search_runs([experiment_id()], f"tags.stage = '{stage}'"))


def checkpoint(folder: Path, loss: float = 2.5) -> Artifact:
    config = {"model": {"n_layer": 2}}
    return write_checkpoint(folder, config=config, validation_loss=loss, step=4.0)


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
    assert run.data.metrics == {"validation_loss": 2.5, "step": 4.0}
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


def test_a_flow_has_the_curves_and_the_models_of_its_stages_made_now_or_cached(
    home: Path, tmp_path: Path
) -> None:
    made = checkpoint(tmp_path / "run" / "step-00000004")
    rows = [{"step": n, "train/loss": 5.0 - n, "train/tokens_per_second": 9.0} for n in (2, 4)]
    rows[1]["validation/loss"] = 2.5
    (tmp_path / "run" / METRICS).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    runs = []
    for cached in (False, True):
        with tracked_flow("pretrain", RunConfig(name="mine"), {}) as flow:
            if not cached:
                with tracked_stage("pretrain", flow, [], [], tags={}) as stage:
                    stage.log_model(made)
                    stage.finish(made)
                client().log_metric(flow.run_id, "loss/train", 3.0, step=2)  # while it trained
            flow.note("pretrain", made)
            flow.describe("| a table |")
        runs.append(client().get_run(flow.run_id))
        for name, points in {"train": [(2, 3.0), (4, 1.0)], "validation": [(4, 2.5)]}.items():
            history = client().get_metric_history(flow.run_id, f"loss/{name}")
            assert sorted((m.step, m.value) for m in history) == points, "each step once"
    fresh, cached_run = (run.data.tags for run in runs)
    names = ["loss/train", "loss/validation", "result/validation_loss", "stage/pretrain/step"]
    assert sorted(runs[0].data.metrics) == names
    assert list(runs[0].data.metrics)[-1] == names[-1], "what MLflow's pages show last"
    assert runs[0].data.metrics["result/validation_loss"] == 2.5
    assert runs[0].data.metrics["stage/pretrain/step"] == 4.0
    assert "cached" not in fresh
    assert cached_run["cached"] == "pretrain"
    assert "From the cache: pretrain.\n\n| a table |" in cached_run["mlflow.note.content"]
    (version,) = versions("language-model")
    assert with_alias("language-model", "candidate") == version
    assert version.fingerprint == made.fingerprint
    assert version.tags["validation_loss"] == "2.5"
    logged = client().get_logged_model(version.model_id)
    assert {m.key: m.value for m in logged.metrics} == {"validation_loss": 2.5, "step": 4.0}


def test_only_the_settings_that_are_read_are_parameters_and_what_differs_is_a_tag(
    home: Path,
) -> None:
    changed = load_config(
        "hadith", settings=["training.steps=50", "tracking.experiment=poems", "name=other"]
    )
    config = to_form(changed, ("source", "training", "tracking"))
    with tracked_flow("pretrain", config, {}) as flow:
        pass
    run = client().get_run(flow.run_id)
    assert client().get_experiment(run.info.experiment_id).name == "poems"
    assert {name.partition(".")[0] for name in run.data.params} == {"name", "source", "training"}
    tags = run.data.tags
    assert (tags["preset"], tags["differs"]) == ("hadith", "training.steps=50")
    assert tags["mlflow.note.content"].startswith("`pretrain` with the preset `hadith`, training.s")
