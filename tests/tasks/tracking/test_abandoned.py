"""The next process closes the runs and models that a killed one left open, and nothing else."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import RunConfig
from tasks.paths import running_dir
from tasks.tracking import client, tracked_flow, tracked_stage
from tasks.tracking.abandoned import close_abandoned
from tasks.tracking.models import log_model
from tasks.tracking.resuming import RunFile
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

KILLED_AT_ONCE = """
import os, signal
from gpt_core.config import RunConfig
from tasks.tracking import client, records, tracked_flow
client()  # creates the store
def log_params(run_id, params):
    os.kill(os.getpid(), signal.SIGKILL)
records.log_params = log_params
with tracked_flow("run", RunConfig(name="killed"), {}):
    pass
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


def test_a_run_is_closed_whose_process_was_killed_as_soon_as_it_was_created(home: Path) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED_AT_ONCE], check=False)
    assert statuses() == {"run": "RUNNING"}
    assert close_abandoned() == 1
    assert statuses() == {"run": "KILLED"}


def test_a_run_that_cannot_be_remembered_is_closed_and_its_retry_is_another(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: RunFile, run_id: str, settings: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full, pytest.raises(OSError, match="No space"):
        full.setattr(RunFile, "write", refuse)
        with tracked_flow("run", RunConfig(), {}):
            pass
    assert statuses() == {"run": "FAILED"}
    with tracked_flow("run", RunConfig(), {}):
        pass
    found = [run.info.status for run in client().search_runs([experiment_id()])]
    assert sorted(found) == ["FAILED", "FINISHED"]


def test_a_stage_whose_end_the_server_missed_is_closed_at_the_end_of_its_flow(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracked_flow("run", RunConfig(), {}) as flow:
        with monkeypatch.context() as away:
            away.setattr("tasks.tracking.opening.answers", lambda address: False)
            with (
                pytest.raises(ValueError, match="wrong"),
                tracked_stage("judge", flow, [], [], tags={}),
            ):
                raise ValueError("wrong")
        assert statuses() == {"run": "RUNNING", "judge": "RUNNING"}
    assert statuses() == {"run": "FINISHED", "judge": "KILLED"}


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
