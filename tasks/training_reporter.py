"""Report a training run's events to the display, to Prefect and to MLflow."""

from collections.abc import Mapping
from contextlib import ExitStack

import pandas as pd

from gpt_core.callbacks import METRICS, Callback, RunInfo, read_records
from tasks.stage import StageRun
from tasks.tracking import CURVES, MLflowCallback, tracking_uri

_PRETRAINING = "pretrain"


class TrainingReporter(Callback):
    """Receives a training run's events and passes them on.

    Args:
        stage: The stage that trains.
    """

    def __init__(self, stage: StageRun) -> None:
        self._stage = stage
        self._rows: list[dict[str, float]] = []
        self._total: int | None = None
        self._trackers = [MLflowCallback(stage.record.run_id, tracking_uri())]
        if stage.name == _PRETRAINING:  # the flow's run has its curves too, so that they compare
            flow = stage.flow.run_id
            self._trackers.append(MLflowCallback(flow, tracking_uri(), names=CURVES))

    def __enter__(self) -> "TrainingReporter":
        return self

    def __exit__(self, *error: object) -> None:
        if self._total is None:
            self._resend()
        for tracker in self._trackers:
            tracker.finish()
        with ExitStack() as all_closed:
            for tracker in self._trackers:
                all_closed.callback(tracker.close)

    def _resend(self) -> None:
        """Send the records of a training whose process was killed between its end and theirs.

        It does not start again, so no event brings them.
        """
        self._rows = read_records(self._stage.out_dir / METRICS)
        for row in self._rows:
            values = {name: value for name, value in row.items() if name != "step"}
            for tracker in self._trackers:
                tracker.on_metrics(int(row["step"]), values)

    def metrics(self) -> pd.DataFrame:
        """The run's metrics, a row for each step; those of a process that was killed included."""
        return pd.DataFrame(self._rows)

    def on_start(self, run: RunInfo) -> None:
        """Show the run's size."""
        self._total = run.total_steps
        for tracker in self._trackers:
            tracker.on_start(run)
        self._stage.display.training_started(self._stage.name, run)
        if run.first_step:
            self._rows = read_records(run.out_dir / METRICS)
            self._stage.display.notice(
                f"{self._stage.name} continues at step {run.first_step:,} of {run.total_steps:,}, "
                f"in MLflow's run {self._stage.record.run_id}"
            )

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record and show metrics."""
        self._rows.append({"step": step, **metrics})
        for tracker in self._trackers:
            tracker.on_metrics(step, metrics)
        self._stage.display.metrics(self._stage.name, step, metrics)
        self._stage.bar.update(step, self._total)

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        """Show a generated continuation."""
        self._stage.display.sample(self._stage.name, step, prompt, text)

    def on_notice(self, message: str) -> None:
        """Show a notice."""
        self._stage.display.notice(message)
