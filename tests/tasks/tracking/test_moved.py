"""The embedded store's places follow a home that was moved; other places stay."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from tasks.paths import tracked_artifacts, tracking_store
from tasks.tracking.moved import follow_home
from tasks.tracking.store import client


def test_places_of_the_old_home_become_those_of_the_new_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = home / "it's 100% old", home / "new"
    monkeypatch.setenv("GPTFLOW_HOME", str(old))
    elsewhere = client().create_experiment("elsewhere", artifact_location="/srv/share")
    ours = client().create_experiment("ours", artifact_location=tracked_artifacts())
    run = client().create_run(ours)
    assert follow_home() == 0

    old.rename(new)
    monkeypatch.setenv("GPTFLOW_HOME", str(new))
    assert follow_home() == 2, "the experiment and its run"
    moved = MlflowClient(tracking_store())
    assert moved.get_experiment(ours).artifact_location == f"{new}/mlflow/artifacts"
    place = f"{new}/mlflow/artifacts/{run.info.run_id}/artifacts"
    assert moved.get_run(run.info.run_id).info.artifact_uri == place
    assert moved.get_experiment(elsewhere).artifact_location == "/srv/share"
    assert follow_home() == 0


def test_a_home_without_a_store_has_nothing_to_change(home: Path) -> None:
    assert follow_home() == 0
    assert list(home.iterdir()) == []
