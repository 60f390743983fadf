"""Both servers on PostgreSQL, artifacts in S3, MLflow with passwords, while processes are killed.

The servers are those of ``compose.yaml``; ``python -m benchmarks.week`` is the long form. At the
end every run has completed as if nothing had happened, and no secret is kept or shown.
"""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from canary import CANARY, Watch, secrets_in, watching
from installation import BUCKET
from webhook import Hook
from week import STEPS, Site, disturb, settings_of, site, wait_until_finished
from week_check import judge, orphans, train_undisturbed

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

SECRETS = {
    "POSTGRES_PASSWORD": f"{CANARY} p@:/w",
    "S3_ACCESS_KEY": f"{CANARY}-key",
    "S3_SECRET_KEY": f"{CANARY}-secret",
    "PREFECT_AUTH": f"me:{CANARY}-prefect",
    "MLFLOW_USERNAME": "me",
    "MLFLOW_PASSWORD": f"{CANARY}-mlflow",
    "MLFLOW_SECRET_KEY": f"{CANARY}-forms",
}
RUNS, GAP_SECONDS = 1, 5.0
FAULTS = ["MLflow killed", "run killed"]
PAUSE_SECONDS = (8.0, 12.0)
LIMIT_SECONDS = 900.0


@dataclass
class Week:
    """Runs that have ended, on servers that are still there."""

    site: Site
    folder: Path
    undisturbed: list[str]
    faults: list[str]
    hook: Hook
    watch: Watch

    def gptflow(self, *arguments: str, **settings: str) -> "tuple[int, str]":
        """Run a command with the variables of the worker; its exit code and output."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
        own |= {**self.site.servers.worker, "GPTFLOW_HOME": str(self.site.home), "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-m", "flows", *arguments], env={**own, **settings}, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[Week]:
    folder = tmp_path_factory.mktemp("week")
    undisturbed = train_undisturbed(project_root, folder / "core", RUNS)
    with Hook(secret=CANARY).serving() as hook, watching() as watch:
        with site(project_root, folder, RUNS, GAP_SECONDS, hook, SECRETS) as made:
            faults: list[str] = []
            work = threading.Thread(
                target=lambda: faults.extend(disturb(made, FAULTS, 1, PAUSE_SECONDS)), daemon=True
            )
            work.start()
            ended = wait_until_finished(made, RUNS, LIMIT_SECONDS)
            work.join(60.0)
            assert ended, made.up.log[-5000:]
            yield Week(made, folder, undisturbed, faults, hook, watch)
        assert orphans(made) == []


def test_runs_end_as_if_nothing_had_happened(week: Week) -> None:
    assert sorted(each[9:] for each in week.faults) == sorted(FAULTS)
    judged = judge(week.site, week.undisturbed)
    assert [each.problems for each in judged] == [()] * RUNS
    assert sum(each.starts for each in judged) > RUNS, "none was killed"


def test_the_artifacts_are_in_the_bucket(week: Week) -> None:
    contents = week.site.servers.buckets.contents(BUCKET)
    assert {"config.json", "manifest.json"} <= {Path(key).name for key in contents}
    kept = {content for key, content in contents.items() if key.endswith("model.safetensors")}
    trained = week.site.home.glob(f"data/checkpoints/week-*/step-{STEPS:08}/model.safetensors")
    assert kept == {file.read_bytes() for file in trained}
    assert not (week.site.home / "mlflow").exists(), "nothing is recorded elsewhere"


def test_a_killed_run_is_a_message(week: Week) -> None:
    killed = [text for text in week.hook.texts if " was killed" in text]
    assert killed
    assert all(re.match(r"pretrain week-0\d was killed\n", text) for text in killed)


def test_the_summary_has_every_run(week: Week) -> None:
    code, output = week.gptflow("summary")
    assert code == 0, output
    assert f"{RUNS} runs in 24 hours: {RUNS} completed" in output
    rows = re.findall(r"Completed +pretrain +week-0\d .* validation_loss \d", output)
    assert len(rows) == RUNS
    query = "select data::text from artifact where key = 'gptflow-summary'"
    ((page,),) = week.site.servers.postgres.query(query, "prefect")
    assert f"{RUNS} completed" in str(page)


def test_without_its_password_mlflow_refuses_a_run(week: Week) -> None:
    wrong = {"MLFLOW_TRACKING_PASSWORD": "wrong"}
    code, output = week.gptflow("pretrain", *settings_of(0), **wrong)
    assert code == 2
    assert "refuses the request (401): set MLFLOW_TRACKING_USERNAME and" in output


def test_no_secret_is_kept_or_shown(week: Week) -> None:
    files = [file for file in week.folder.rglob("*") if file.is_file()]
    assert {"log", "manifest.json", "deployments.toml"} <= {file.name for file in files}
    assert [str(file) for file in files if secrets_in(file.read_bytes())] == []
    assert not secrets_in(week.site.servers.postgres.dump())
    contents = week.site.servers.buckets.contents(BUCKET)
    assert [key for key, content in contents.items() if secrets_in(content)] == []
    assert week.watch.seen > 100
    assert week.watch.found == []
