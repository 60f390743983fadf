"""A home whose path has the special characters of addresses is a home like any other."""

import json
import sqlite3
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tasks.paths import sqlite_address
from tasks.servers import start_mlflow_server
from tasks.up import stop_everything

pytestmark = pytest.mark.long

ODD = "a%20b?c#d é"


@pytest.fixture
def odd_cli(cli: Any, tmp_path: Path) -> Iterator[Any]:
    """A command line with such a home, alone in its folder."""
    odd = type(cli)(tmp_path / "alone" / ODD, cli.root)
    yield odd
    odd.run("down")


def rows(database: Path, query: str) -> list[Any]:
    with sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_everything_is_kept_in_the_home(
    odd_cli: Any, small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = odd_cli.home
    answer = odd_cli.run("pretrain", *small, "name=odd")
    assert answer.code == 0, answer.out + answer.err
    assert [entry.name for entry in home.parent.iterdir()] == [ODD]
    assert rows(home / ".prefect" / "prefect.db", "select state_name from flow_run") == [
        ("Completed",)
    ]
    log = [line for (line,) in rows(home / ".prefect" / "prefect.db", "select message from log")]
    assert any(line.startswith("clean_corpus is done in") for line in log), "as on the terminal"
    assert any("validation/loss" in line for line in log)
    store = MlflowClient(sqlite_address(home / "mlflow" / "mlflow.db"))
    (experiment,) = (e for e in store.search_experiments() if e.name != "Default")
    runs = store.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    names = {entry.path for run in runs for entry in store.list_artifacts(run.info.run_id)}
    assert names >= {"loss.png", "samples.json", "rules.json"}
    monkeypatch.setenv("GPTFLOW_HOME", str(home))
    server = start_mlflow_server()
    server.wait()
    name = f"{server.url}/ajax-api/2.0/mlflow/experiments/get?experiment_id="
    with urllib.request.urlopen(name + experiment.experiment_id) as page:
        assert json.load(page)["experiment"]["name"] == experiment.name
    assert stop_everything()
    assert [entry.name for entry in home.parent.iterdir()] == [ODD]
