"""The MLflow store: its address, its experiments and links to its pages."""

import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from gpt_core.errors import DataError
from tasks.progress import Display, use_display
from tasks.tracking.store import (
    answers,
    client,
    client_for,
    comparison_link,
    experiment_id,
    experiment_ids,
    require_answer,
    run_link,
    runs_link,
    settings,
    tracking_uri,
    waiting_for_server,
)


def test_without_a_server_the_store_is_a_file_of_the_home(home: Path) -> None:
    assert tracking_uri() == f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    experiment = client().get_experiment(experiment_id())
    assert experiment.name == settings()["experiment"]["name"]
    assert experiment.artifact_location == str(home / "mlflow" / "artifacts")
    assert experiment_id() == experiment.experiment_id
    assert (home / "mlflow" / "mlflow.db").is_file()


def test_links_lead_to_the_ui_of_the_embedded_store(home: Path) -> None:
    page = f"http://127.0.0.1:5000/#/experiments/{experiment_id()}/runs"
    assert runs_link() == f"{page}?workflowType=machine_learning&viewStateShareKey=gptflow"
    assert run_link("abc", experiment_id()) == f"{page}/abc?workflowType=machine_learning"
    assert comparison_link({"a": "1", "b": "2"}) == (
        "http://127.0.0.1:5000/#/compare-runs?runs=%5B%22a%22%2C%22b%22%5D"
        "&experiments=%5B%221%22%2C%222%22%5D"
    )


def test_a_project_has_an_experiment_of_its_own_with_the_key_metrics_as_columns(
    home: Path,
) -> None:
    own = experiment_id("poems")
    assert own == experiment_id("poems") != experiment_id()
    assert set(experiment_ids()) == {own, experiment_id()}
    view = json.loads(client().get_experiment(own).tags["mlflow.sharedViewState.gptflow"])
    assert view["selectedColumns"][:2] == ["tags.`stage`", "tags.`differs`"]
    assert "metrics.`result/validation_loss`" in view["selectedColumns"]
    client().delete_experiment(own)
    assert experiment_ids() == [experiment_id()]
    with pytest.raises(DataError, match="the MLflow experiment poems was deleted: restore it"):
        experiment_id("poems")


def test_the_password_of_a_server_moves_to_mlflows_own_variable(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "another")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@host.example:8443/path")
    assert tracking_uri() == "https://host.example:8443/path"
    assert os.environ["MLFLOW_TRACKING_URI"] == tracking_uri()
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "me"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "secret"


def test_only_servers_have_to_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert answers(url)
    assert not answers(url)
    assert answers("sqlite:///some.db")
    assert answers("file:///some/folder")


def test_a_server_that_does_not_answer_is_named_without_its_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    uri = f"http://me:secret@127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(DataError, match=rf"//\*\*\*@127\.0\.0\.1:{port} does not answer"):
        require_answer(uri, 0.0)


def test_a_flows_run_waits_for_a_server_that_is_away_and_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("_CONNECT_SECONDS", "_RECONNECT_SECONDS"):
        monkeypatch.setattr(f"tasks.tracking.store.{limit}", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    uri = f"http://127.0.0.1:{address[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(DataError, match="does not answer"):
        client()
    notices: list[str] = []
    display, ended = Display(), threading.Event()
    monkeypatch.setattr(display, "notice", notices.append)

    def come_back() -> None:
        time.sleep(1.5)
        with socket.create_server(address):
            ended.wait(10)

    back = threading.Thread(target=come_back)
    back.start()
    try:
        with use_display(display), waiting_for_server():
            assert client() is client_for(uri)
    finally:
        ended.set()
        back.join()
    assert notices == [
        f"the MLflow server at {uri} does not answer: the run waits for it, up to 60 minutes"
    ]


def test_a_damaged_store_is_not_taken_for_an_old_one(home: Path) -> None:
    (home / "mlflow").mkdir()
    (home / "mlflow" / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(Exception, match="not a database"):
        client_for(tracking_uri())


def test_a_store_that_mlflow_cannot_open_is_one_sentence_without_a_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 1)  # else it tries for 100 s
    with pytest.raises(
        DataError, match=r"store postgresql://\*\*\*@127.* cannot be used"
    ) as caught:
        client_for("postgresql://me:secret@127.0.0.1:1/name")
    assert "secret" not in str(caught.value)
