"""Notifications about the end of a run: what failed, or what a run that succeeded has made."""

from collections.abc import Mapping
from types import TracebackType

from prefect import runtime
from prefect.utilities.urls import url_for

from flows.declarations import FlowResult
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from gpt_core.errors import GPTCoreError
from tasks.notifications import Message, flush, killed_message, send_message

_FLUSH_SECONDS = 30.0
_METRICS = ("validation_loss", "loss", "perplexity", "test_accuracy", "test_f1", "exact_match")
"""The metrics that a message has, in this order."""


class Ending:
    """Sends a message at the end of the block, if the configuration wants it, and waits for it.

    A run that is asked to end (Ctrl-C, SIGTERM, a cancellation) sends none.

    Args:
        flow: The flow's name.
        config: The configuration as far as it is known; ``config`` may be set later.
    """

    def __init__(self, flow: str, config: RunConfig) -> None:
        self.config = config
        self.result: FlowResult | None = None
        self._flow = flow

    def __enter__(self) -> "Ending":
        return self

    def report_kill(self) -> None:
        """Send a message that the run was killed and has started again."""
        name = f"{self._flow} {self.config.name}"
        send_message(killed_message(name, "; it has started again"), self.config.notify)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        name = f"{self._flow} {self.config.name}"
        if error is None:
            message = Message("completed", f"{name} is done", _text(describe(self.result)))
        elif isinstance(error, Exception):
            said = str(error) if isinstance(error, GPTCoreError) else repr(error)
            message = Message("failed", f"{name} failed", _text(said))
        else:
            return
        send_message(message, self.config.notify)
        flush(_FLUSH_SECONDS)


def describe(result: FlowResult | None) -> str:
    """The artifacts that a flow made, with their most telling metrics.

    Args:
        result: One artifact, or several by name.
    """
    named = result if isinstance(result, Mapping) else {"": result}
    return "\n".join(
        " ".join(filter(None, (name, artifact.path, _metrics(artifact.metrics()))))
        for name, artifact in named.items()
        if isinstance(artifact, Artifact)
    )


def _metrics(metrics: Mapping[str, float]) -> str:
    shown = [f"{name} {metrics[name]:.4g}" for name in _METRICS if name in metrics]
    return f"({', '.join(shown)})" if shown else ""


def _text(said: str) -> str:
    """A text with the address of the run's page."""
    page = url_for("flow-run", obj_id=runtime.flow_run.id) if runtime.flow_run.id else None
    return f"{said}\n{page}" if page else said
