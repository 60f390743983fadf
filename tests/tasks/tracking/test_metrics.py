"""Every metric arrives once, whatever happens to the server or to the process."""

import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from gpt_core.callbacks import RunInfo
from tasks.progress import Display, use_display
from tasks.servers import start_mlflow_server
from tasks.tracking import MLflowCallback, client, tracking_uri
from tasks.tracking.metrics import MetricSender, send_unsent
from tasks.tracking.store import answers, experiment_id

Start = Callable[[], None]


def steps(run_id: str, name: str = "train/loss") -> list[int]:
    return sorted(metric.step for metric in client().get_metric_history(run_id, name))


def new_run() -> str:
    return str(client().create_run(experiment_id()).info.run_id)


def info(out_dir: Path, first_step: int) -> RunInfo:
    return RunInfo(
        total_steps=40,
        first_step=first_step,
        tokens_per_step=1,
        n_parameters=1,
        device="cpu",
        precision="fp32",
        out_dir=out_dir,
    )


def test_metrics_arrive_in_order_and_once_also_nan(home: Path) -> None:
    run_id = new_run()
    callback = MLflowCallback(run_id, tracking_uri())
    for step in range(1200):
        callback.on_metrics(step, {"train/loss": math.nan if step == 7 else 1.0 / (step + 1)})
    callback.close()
    history = client().get_metric_history(run_id, "train/loss")
    assert steps(run_id) == list(range(1200))
    assert math.isnan(next(metric.value for metric in history if metric.step == 7))


def test_a_resumed_run_sends_what_its_killed_process_did_not_and_repeats_nothing(
    home: Path,
) -> None:
    run_id = new_run()
    rows = [{"step": step, "train/loss": 0.5} for step in range(1, 21)]
    (home / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    killed = MLflowCallback(run_id, tracking_uri())
    for row in rows[:12]:
        killed.on_metrics(int(row["step"]), {"train/loss": row["train/loss"]})
    killed.close()
    resumed = MLflowCallback(run_id, tracking_uri())
    resumed.on_start(info(home, 20))
    for step in range(18, 31):
        resumed.on_metrics(step, {"train/loss": 0.5})
    resumed.close()
    assert steps(run_id) == list(range(1, 31))


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Start, Start]]:
    """A real MLflow server that can be stopped and started again at its address."""
    running = []
    port = 5000

    def start() -> None:
        nonlocal port
        server = start_mlflow_server(port)
        running.append(server)
        server.wait()
        port = int(server.url.rpartition(":")[2])
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)

    def stop() -> None:
        server = running.pop()
        os.killpg(server.pid, signal.SIGKILL)
        while answers(server.url):
            time.sleep(0.05)

    start()
    yield start, stop
    while running:
        stop()


@pytest.mark.long
def test_a_server_that_is_restarted_misses_and_repeats_no_metric(
    home: Path, server: tuple[Start, Start]
) -> None:
    start, stop = server
    run_id = new_run()
    callback = MLflowCallback(run_id, tracking_uri())
    for step in range(300):
        if step == 100:
            time.sleep(1.5)
            stop()
        if step == 200:
            time.sleep(1.5)
            start()
        began = time.monotonic()
        callback.on_metrics(step, {"train/loss": 1.0, "train/epoch": 0.1})
        assert time.monotonic() - began < 1.0  # the trainer does not wait
    callback.close()
    assert steps(run_id) == steps(run_id, "train/epoch") == list(range(300))
    lost = MLflowCallback(run_id, tracking_uri(), last_tries_seconds=1.0)
    stop()
    for step in range(300, 310):
        lost.on_metrics(step, {"train/loss": 1.0})
    lost.close()
    assert len(list((home / "data" / "unsent").iterdir())) == 1
    start()
    assert send_unsent(client(), tracking_uri()) == 10
    assert send_unsent(client(), tracking_uri()) == 0
    assert steps(run_id) == list(range(310))


DAMAGED = (
    "",
    "{",
    "[]",
    '{"uri": 3}',
    '{"uri": "URI", "run_id": "RUN"}',
    '{"uri": "URI", "run_id": "RUN", "metrics": [["loss", 1.0]]}',
    '{"uri": "URI", "run_id": "RUN", "metrics": [["loss", "much", 1, 2]]}',
    '{"uri": "URI", "run_id": "RUN", "metrics": [["loss", 1.0, 1e99, 2]]}',
    '{"uri": "URI", "run_id": "RUN", "metrics": [["a?!", 1.0, 1, 2]]}',
)


def test_metrics_that_mlflow_does_not_take_wait_and_that_is_said_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT INTO metrics]"
    post, refusals = MetricSender._post, [f"while flushing:\n{full}", full]

    def refuse(sender: MetricSender, metrics: list[Metric]) -> None:
        if refusals:
            raise MlflowException(refusals.pop())
        post(sender, metrics)

    monkeypatch.setattr(MetricSender, "_post", refuse)
    run_id, display = new_run(), Notices()
    with use_display(display):
        own = MLflowCallback(run_id, tracking_uri())
    for step in range(1, 4):
        own.on_metrics(step, {"train/loss": 1.0 / step})
    own.close()
    assert refusals == []
    assert steps(run_id) == [1, 2, 3]
    assert display.notices == [
        "MLflow takes no metrics (database or disk is full): they wait and are sent later"
    ]


def test_damaged_files_are_set_aside_and_stop_nothing(home: Path) -> None:
    run_id = new_run()
    folder = home / "data" / "unsent"
    folder.mkdir(parents=True)
    texts = [text.replace("URI", tracking_uri()).replace("RUN", run_id) for text in DAMAGED]
    for number, text in enumerate(texts):
        (folder / f"a-{number}.json").write_text(text)
    (folder / "b-0.json").mkdir()
    good = {"uri": tracking_uri(), "run_id": run_id, "metrics": [["train/loss", 0.5, 1, 3]]}
    (folder / "c-0.json").write_text(json.dumps(good))
    display = Notices()
    with use_display(display):
        assert send_unsent(client(), tracking_uri()) == 1
    assert steps(run_id) == [3]
    kept = [folder / f"a-{number}.damaged" for number in range(len(DAMAGED))]
    assert [file.read_text() for file in kept] == texts
    assert sorted(folder.iterdir()) == [*kept, folder / "b-0.damaged"]
    for notice, file in zip(display.notices, [*kept, folder / "b-0.damaged"], strict=True):
        assert f"it is kept as {file} and not sent" in notice


class Notices(Display):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)
