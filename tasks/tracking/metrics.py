"""Send training metrics to MLflow in batches from a background thread, each step exactly once.

The trainer never waits. While the server is unreachable, metrics wait in memory; those that are
left when the run ends are written to a file and sent by the next run. A resumed run sends what
its killed process could not, from the metrics file among its checkpoints. MLflow's own queue
(``log_batch(synchronous=False)``) reports a failed batch, but neither sends it again later nor
keeps it for the next run.
"""

import json
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

from gpt_core.callbacks import METRICS, Callback, RunInfo, read_records
from gpt_core.errors import DataError
from gpt_core.files import atomic_write_text, disk_errors, read_json
from gpt_core.redaction import redact
from tasks.paths import unsent_dir
from tasks.progress import current_display
from tasks.tracking.store import UNREACHABLE, answers, client_for

_BATCH = 500
_REASON = 120  # characters
_INT64 = 2**63
_PAUSE_SECONDS = 1.0  # between batches, and at first between tries
_LONGEST_PAUSE_SECONDS = 15.0
_LAST_TRIES_SECONDS = 60.0  # at the end of a run, before the rest is saved to a file


class MLflowCallback(Callback):
    """Sends a run's metrics to MLflow.

    Args:
        run_id: The MLflow run. Steps that it has metrics of are not sent again.
        uri: The address of the store, which was reached before.
        last_tries_seconds: How long ``close`` may wait for a server that is unreachable.
        names: The metrics to send, with their names in MLflow; None sends all as they are called.
    """

    def __init__(
        self,
        run_id: str,
        uri: str,
        last_tries_seconds: float = _LAST_TRIES_SECONDS,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self._run_id, self._uri, self._names = run_id, uri, names
        self._last_tries_seconds = last_tries_seconds
        self._queue: queue.Queue[Metric] = queue.Queue()
        self._ending = threading.Event()
        self._failure: DataError | None = None
        self._notice = current_display().notice  # the thread has no display of its own
        self._waits = False
        self._thread = threading.Thread(target=self._work, name="mlflow-metrics", daemon=True)
        self._thread.start()

    def on_start(self, run: RunInfo) -> None:
        """Resend metrics that the interrupted process may not have delivered."""
        if run.first_step:
            for row in read_records(run.out_dir / METRICS):
                self.on_metrics(row.pop("step"), row)

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Queue metrics."""
        now = int(time.time() * 1000)
        for name, value in metrics.items():
            shown = name if self._names is None else self._names.get(name)
            if shown is not None:
                self._queue.put(Metric(shown, float(value), now, step))

    def finish(self) -> None:
        """Let the thread send what is left and end, without waiting for it."""
        self._ending.set()

    def close(self) -> None:
        """Send what is left, or save it for the next run.

        Raises:
            DataError: If it can neither be sent nor saved.
        """
        self.finish()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        sender = MetricSender(client_for(self._uri), self._run_id)
        pause, give_up_at = _PAUSE_SECONDS, None
        waiting: list[Metric] = []
        while True:
            waiting += _drain(self._queue)
            ending = self._ending.is_set()
            if ending and give_up_at is None:
                give_up_at = time.monotonic() + self._last_tries_seconds
            try:
                if answers(self._uri):  # else MLflow itself would try for minutes
                    sender.send(waiting)
                    waiting, pause, self._waits = [], _PAUSE_SECONDS, False
                elif waiting:
                    self._tell(ConnectionError("its server does not answer"))
            except UNREACHABLE as error:
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                self._tell(error)
            if ending and not waiting and self._queue.empty():
                return
            if give_up_at is not None and time.monotonic() > give_up_at:
                self._save(waiting + _drain(self._queue))
                return
            self._ending.wait(pause) if not ending else time.sleep(min(pause, 1.0))

    def _tell(self, error: Exception) -> None:
        """Say once in each while without MLflow that metrics wait; of one run of the two."""
        if not self._waits and self._names is None:
            reason = _reason(redact(str(error)))
            self._notice(f"MLflow takes no metrics ({reason}): they wait and are sent later")
        self._waits = True

    def _save(self, metrics: list[Metric]) -> None:
        try:
            save_unsent(self._uri, self._run_id, metrics)
        except DataError as error:  # of this thread, raised by the one that closes it
            self._failure = error


class MetricSender:
    """Sends batches, and after a failure first asks the server which metrics arrived."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client, self._run_id = client, run_id
        self._sent: dict[str, int] | None = None  # the last step of each metric on the server

    def send(self, metrics: list[Metric]) -> None:
        """Send the metrics that are not on the server yet."""
        if not metrics:
            return
        if self._sent is None:
            names = {metric.key for metric in metrics}
            self._sent = {name: self._last_step(name) for name in names}
        for start in range(0, len(metrics), _BATCH):
            new = [m for m in metrics[start : start + _BATCH] if m.step > self._known(m.key)]
            if new:
                self._post(new)

    def _post(self, metrics: list[Metric]) -> None:
        try:
            self._client.log_batch(self._run_id, metrics=metrics, synchronous=True)
        except UNREACHABLE:
            self._sent = None  # the batch may have arrived although its answer did not
            raise
        for metric in metrics:
            self._require_known()[metric.key] = metric.step

    def _known(self, name: str) -> int:
        known = self._require_known()
        if name not in known:
            known[name] = self._last_step(name)
        return known[name]

    def _require_known(self) -> dict[str, int]:
        if self._sent is None:
            self._sent = {}
        return self._sent

    def _last_step(self, name: str) -> int:
        history = self._client.get_metric_history(self._run_id, name)
        return max((metric.step for metric in history), default=-1)


def save_unsent(uri: str, run_id: str, metrics: list[Metric]) -> None:
    """Write metrics to a file that the next run sends, with the store's address but no password.

    Raises:
        DataError: If it cannot be written.
    """
    rows = [[m.key, m.value, m.timestamp, m.step] for m in metrics]
    path = unsent_dir() / f"{run_id}-{time.time_ns()}.json"
    with disk_errors(path), atomic_write_text(path) as file:
        json.dump({"uri": redact(uri), "run_id": run_id, "metrics": rows}, file)


def send_unsent(client: MlflowClient, uri: str) -> int:
    """Send what earlier runs could not send to this store; return the number of metrics.

    A damaged file is set aside, so that it stops no run and is not lost.
    """
    count = 0
    for file in sorted(unsent_dir().glob("*.json")):
        try:
            store, run_id, metrics = _read_unsent(file)
            if store != redact(uri):
                continue
            MetricSender(client, run_id).send(metrics)
        except (DataError, IsADirectoryError) as error:
            _set_aside(file, str(error))
            continue
        except MlflowException as error:
            if error.error_code == ErrorCode.Name(INVALID_PARAMETER_VALUE):
                _set_aside(file, f"MLflow does not take {file}: {error.message}")
                continue
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            metrics = []  # the run was deleted
        file.unlink()
        count += len(metrics)
    return count


def _read_unsent(file: Path) -> tuple[str, str, list[Metric]]:
    """The store, the run and the metrics of a file of ``save_unsent``.

    Raises:
        DataError: If it is something else.
    """
    content = read_json(file, finite=False)  # a diverged loss
    try:
        rows = [
            (str(key), float(value), int(timestamp), int(step))
            for key, value, timestamp, step in content["metrics"]
        ]
        if any(not 0 <= number < _INT64 for _, _, *numbers in rows for number in numbers):
            raise ValueError
        return redact(content["uri"]), str(content["run_id"]), [Metric(*row) for row in rows]
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{file} does not hold metrics of gptflow") from error


def _set_aside(file: Path, problem: str) -> None:
    """Keep a file that cannot be sent where no run looks for it, and say so."""
    kept = file.with_suffix(".damaged")
    file.replace(kept)
    current_display().notice(f"{problem}: it is kept as {kept} and not sent")


def _reason(text: str) -> str:
    """The telling line of an error: of a database's it is the one with the driver's exception."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason given"]
    driver = [line for line in lines if line.startswith("(") and "Error)" in line]
    return (driver or lines)[0].rpartition("Error) ")[2][:_REASON]


def _drain(waiting: "queue.Queue[Metric]") -> list[Metric]:
    drained = []
    while True:
        try:
            drained.append(waiting.get_nowait())
        except queue.Empty:
            return drained
