"""A display of a run in Prefect: what a terminal shows goes to Prefect's log of the run."""

import logging
from collections.abc import Mapping

from typing_extensions import override

from gpt_core.artifact import Artifact
from gpt_core.callbacks import RunInfo
from tasks.progress import Display


class RunLog(Display):
    """Logs stages, evaluations, samples and notices.

    Args:
        log: Prefect's logger of the run, which sends in the background.
    """

    def __init__(self, log: "logging.Logger | logging.LoggerAdapter[logging.Logger]") -> None:
        self._log = log
        self._finished: set[str] = set()

    @override
    def stage_started(self, stage: str) -> None:
        self._log.info("%s starts", stage)

    @override
    def training_started(self, stage: str, run: RunInfo) -> None:
        self._log.info("%s: %s", stage, run.describe())

    @override
    def metrics(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        evaluated = {name: value for name, value in metrics.items() if "validation/" in name}
        if evaluated:
            shown = ", ".join(f"{name} {value:.4f}" for name, value in evaluated.items())
            self._log.info("%s, step %d: %s", stage, step, shown)

    @override
    def sample(self, stage: str, step: int, prompt: str, text: str) -> None:
        self._log.info("%s, step %d: %s -> %s", stage, step, prompt, text)

    @override
    def notice(self, message: str) -> None:
        self._log.warning("%s", message)

    @override
    def stage_finished(self, stage: str, artifact: Artifact, seconds: float) -> None:
        self._finished.add(artifact.path)
        self._log.info("%s is done in %.1f s: %s", stage, seconds, _summary(artifact))

    @override
    def stage_present(self, stage: str, artifact: Artifact) -> None:
        if artifact.path not in self._finished:
            self._log.info("%s was done before: %s", stage, _summary(artifact))


def _summary(artifact: Artifact) -> str:
    """The artifact's path and metrics."""
    metrics = ", ".join(f"{name} {value:.6g}" for name, value in artifact.metrics().items())
    return f"{artifact.path} ({metrics})" if metrics else artifact.path
