"""Both servers on PostgreSQL, artifacts in S3, MLflow with passwords: complete, and no secret kept.

The servers are those of ``compose.yaml``.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from canary import CANARY, Watch, secrets_in, watching
from installation import BUCKET, Installation, installed
from mlflow import MlflowClient
from webhook import Hook

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

SECRETS = {
    "POSTGRES_PASSWORD": f"{CANARY} p@:/w",
    "S3_ACCESS_KEY": f"{CANARY}-key",
    "S3_SECRET_KEY": f"{CANARY}-secret",
    "PREFECT_AUTH": f"me:{CANARY}-prefect",
    "MLFLOW_USERNAME": "me",
    "MLFLOW_PASSWORD": f"{CANARY}-mlflow",
    "MLFLOW_SECRET_KEY": f"{CANARY}-forms",
}
TRAINING = (
    "name=small", "source=samples", "model.n_layer=1", "model.n_head=2", "model.n_embd=32",
    "model.context_length=64", "schedule.warmup_steps=2", "training.tokens_per_step=512",
    "training.micro_batch=8", "training.eval_tokens=1024", "training.log_every=1",
    "shards.workers=1", "training.steps=12", "training.eval_every=6", "training.save_every=6",
    "training.sample_every=6",
)  # fmt: skip


@dataclass
class Recorded:
    """A run that was recorded there."""

    servers: Installation
    home: Path
    folder: Path
    output: str
    summary: str
    hook: Hook
    watch: Watch


def gptflow(home: Path, root: Path, *arguments: str, **settings: str) -> "tuple[int, str]":
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "PG"))}
    own |= {"GPTFLOW_HOME": str(home), "COLUMNS": "200", "OMP_NUM_THREADS": "1", **settings}
    done = subprocess.run(
        [sys.executable, "-m", "flows", *arguments], cwd=root, text=True, check=False, env=own,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("databases")
    with (
        installed(project_root, folder / "servers", SECRETS) as servers,
        Hook(secret=CANARY).serving() as hook,
        watching() as watch,
    ):
        home, settings = folder / "home", {**servers.worker, "GPTFLOW_NOTIFY": hook.address}
        wanted = 'notify.on=["completed"]'
        code, output = gptflow(home, project_root, "pretrain", wanted, *TRAINING, **settings)
        assert code == 0, output
        code, summary = gptflow(home, project_root, "summary", **settings)
        assert code == 0, summary
        yield Recorded(servers, home, folder, output + summary, summary, hook, watch)


def client_of(servers: Installation, patch: pytest.MonkeyPatch) -> MlflowClient:
    for name, value in servers.worker.items():
        if name.startswith("MLFLOW"):
            patch.setenv(name, value)
    return MlflowClient(servers.worker["MLFLOW_TRACKING_URI"])


def test_the_metrics_are_complete(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(recorded.servers, monkeypatch)
    names = [each.experiment_id for each in client.search_experiments()]
    runs = {run.info.run_name: run for run in client.search_runs(names)}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    losses = client.get_metric_history(runs["pretrain small"].info.run_id, "train/loss")
    assert [each.step for each in losses] == list(range(1, 13))
    assert client.get_model_version_by_alias("small-pretrained", "newest").status == "READY"
    states = recorded.servers.postgres.query("select name, state_type from flow_run", "prefect")
    assert states == [("small", "COMPLETED")]


def test_the_artifacts_are_in_the_bucket(recorded: Recorded) -> None:
    contents = recorded.servers.buckets.contents(BUCKET)
    files = {Path(key).name for key in contents}
    assert {"model.safetensors", "config.json", "manifest.json"} <= files
    (kept,) = [content for key, content in contents.items() if key.endswith("model.safetensors")]
    (trained,) = recorded.home.glob("data/checkpoints/small-*/step-00000012/model.safetensors")
    assert kept == trained.read_bytes()
    assert not (recorded.home / "mlflow").exists(), "nothing is recorded elsewhere"


def test_the_end_is_a_message_and_a_line_of_the_summary(recorded: Recorded) -> None:
    (message,) = recorded.hook.texts
    assert message.startswith("pretrain small is done\n/")
    assert "validation_loss" in message
    assert f"{recorded.servers.worker['PREFECT_API_URL'].removesuffix('/api')}/runs/" in message
    (row,) = re.findall(r"Completed +pretrain +small +.*", recorded.summary)
    assert "pretrain/validation_loss" in row
    query = "select data::text from artifact where key = 'gptflow-summary'"
    ((page,),) = recorded.servers.postgres.query(query, "prefect")
    assert "1 runs in 24 hours: 1 completed" in str(page)


def test_no_secret_is_kept_or_shown(recorded: Recorded) -> None:
    assert not secrets_in(recorded.output.encode())
    files = [file for file in recorded.folder.rglob("*") if file.is_file()]
    assert [str(file) for file in files if secrets_in(file.read_bytes())] == []
    assert not secrets_in(recorded.servers.postgres.dump())
    contents = recorded.servers.buckets.contents(BUCKET)
    assert [key for key, content in contents.items() if secrets_in(content)] == []
    assert recorded.watch.seen > 100
    assert recorded.watch.found == []


def test_without_its_password_mlflow_refuses_a_run(recorded: Recorded, project_root: Path) -> None:
    settings = {**recorded.servers.worker, "MLFLOW_TRACKING_PASSWORD": "wrong"}
    code, output = gptflow(recorded.home, project_root, "pretrain", *TRAINING, **settings)
    assert code == 2
    assert "refuses the request (401): set MLFLOW_TRACKING_USERNAME and" in output
