"""Notifications about a run; no result depends on them."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import require, require_named
from gpt_core.config.section import Section

NotifyEvent = Literal["failed", "crashed", "better", "completed"]
"""An error, the end of the process by force, a better model, the end of a run that succeeded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotifyConfig(Section):
    """Notifications by mail, chat or webhook; their addresses are in ``GPTFLOW_NOTIFY``."""

    on: tuple[NotifyEvent, ...] = ("failed", "crashed", "better")
    """The events that are sent: ``failed``, ``crashed`` (the process was killed), ``better`` (a
    model became the champion) and ``completed``."""

    block: str | None = None
    """A notification block of Prefect that gets them too, such as ``slack-webhook/NAME``."""

    def __post_init__(self) -> None:
        require_named(self, "block")
        require(
            self.block is None or len(self.block.split("/")) == 2,
            f"block must be TYPE/NAME, such as slack-webhook/NAME, got {self.block!r:.200}",
        )
