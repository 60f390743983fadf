"""The next process closes the runs and models that a killed one left open, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import RunConfig
from tasks.paths import running_dir
from tasks.tracking import client, tracked_flow
from tasks.tracking.abandoned import close_abandoned
from tasks.tracking.models import log_model
from tasks.tracking.store import experiment_id

KILLED = """
import os, signal
from gpt_core.config import RunConfig
from tasks.tracking import client, tracked_flow, tracked_stage
from tasks.tracking.store import experiment_id
with tracked_flow("run", RunConfig(name="killed"), {}) as flow:
    with tracked_stage("train_tokenizer", flow, [], [], tags={}):
        pass
    with tracked_stage("import_gpt2", flow, [], [], tags={}) as stage:
        client().create_logged_model(experiment_id(), name="half", source_run_id=stage.run_id)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def statuses() -> dict[str, str]:
    runs = client().search_runs([experiment_id()])
    return {run.data.tags["stage"]: run.info.status for run in runs}


def model_statuses() -> list[str]:
    return [str(model.status) for model in client().search_logged_models([experiment_id()])]


def test_the_next_flow_closes_the_runs_and_models_of_a_killed_one(home: Path) -> None:
    client()  # creates the store
    subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED], check=False)
    assert statuses() == {"run": "RUNNING", "train_tokenizer": "FINISHED", "import_gpt2": "RUNNING"}
    assert model_statuses() == ["PENDING"]
    with tracked_flow("prepare", RunConfig(), {}):
        found = statuses()
        assert (found["run"], found["import_gpt2"], found["prepare"]) == (
            "KILLED", "KILLED", "RUNNING",
        )  # fmt: skip
        assert model_statuses() == ["FAILED"]
        assert close_abandoned() == 0, "this flow is running"
    assert statuses()["prepare"] == "FINISHED"
    assert list(running_dir().glob("*.lock")) == [running_dir() / "run-killed.lock"]


def test_a_killed_flow_resumes_the_run_that_was_closed(home: Path) -> None:
    client()
    subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED], check=False)
    with tracked_flow("run", RunConfig(name="killed"), {}) as flow:
        run = client().get_run(flow.run_id)
        assert run.info.status == "RUNNING"
        assert "error" not in run.data.tags
    assert len(client().search_runs([experiment_id()], "tags.stage = 'run'")) == 1
    assert statuses()["run"] == "FINISHED"


def test_a_model_that_cannot_be_logged_is_closed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_artifact(tmp_path / "made", kind="checkpoint") as draft:
        (draft.directory / "model.safetensors").write_bytes(b"weights")

    def refuse(checkpoint: Artifact, out_dir: Path) -> Artifact:
        raise KeyboardInterrupt

    monkeypatch.setattr("tasks.tracking.models.without_training_state", refuse)
    with pytest.raises(KeyboardInterrupt), tracked_flow("run", RunConfig(), {}) as flow:
        log_model(flow.run_id, draft.artifact, "tiny", flow.experiment)
    assert model_statuses() == ["FAILED"]
    assert [path.name for path in (tmp_path / "data").glob(".*")] == []
