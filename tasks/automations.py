"""Prefect's automation of gptflow: runs without a heartbeat crash.

A run sends a heartbeat every half minute, from a command and from a deployment alike. Prefect's
server calls it crashed when none has come for a while; ``tasks.restarts`` starts it again. The
automation looks only at runs with gptflow's tag, because the server may have runs of others too.
"""

import logging
import signal
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import PrefectException

TAG = "gptflow"
"""The tag of every deployment and every run of gptflow."""

CRASH_SILENT = "gptflow: runs without a heartbeat crash"
"""The automation's name."""

_FORMER = "gptflow: killed runs start again"  # of an earlier version, which did it several times

SILENT_AFTER = timedelta(seconds=90)
"""Three heartbeats."""

SILENT = "No heartbeat for 90 s: its process or its machine is gone"
"""The message of a run that Prefect's server found without a heartbeat."""

KILLED = "Its process was killed"
"""The message of a run whose process was found to be gone."""

_ANSWER_SECONDS = 5.0
_SIGNALS = (signal.SIGKILL, signal.SIGABRT, signal.SIGBUS, signal.SIGSEGV)
"""Signals that kill; SIGTERM and SIGINT ask to end, as ``gptflow down`` does."""

_BEAT = "prefect.flow-run.heartbeat"
_ENDS = ("Completed", "Failed", "Cancelled", "Crashed")
_OWN = ResourceSpecification({"prefect.resource.id": f"prefect.tag.{TAG}"})
_KILLED_MESSAGES = (
    f"{SILENT}*",
    f"{KILLED}*",
    *(f"*exited with*status code: {code}.*" for each in _SIGNALS for code in (-each, 128 + each)),
    "*exited with*status code: 1.*",  # Prefect knows of no outcome, else that would be the state
    "Flow run could not start*",
    "Request to * failed*",
    "Request failed while attempting to contact the server*",
)

_log = logging.getLogger(__name__)


def register_automations() -> None:
    """Register the automation, or bring that of an earlier version up to date.

    If it was switched off in Prefect's UI, it stays off.
    """
    settings = {"timeout": _ANSWER_SECONDS}
    try:
        with get_client(sync_client=True, httpx_settings=settings) as client:
            _register(client, _crash_silent())
            for former in client.read_automations_by_name(_FORMER):
                client.delete_automation(former.id)
    except (HTTPError, PrefectException, OSError) as error:
        _log.info("Prefect did not take the automation: %s", error)


def is_killed(message: str) -> bool:
    """Whether a crashed run's message says that its process was killed, or found no server."""
    return any(fnmatchcase(message, pattern) for pattern in _KILLED_MESSAGES)


def _crash_silent() -> AutomationCore:
    """Mark runs as crashed that send no heartbeat any more."""
    return AutomationCore(
        name=CRASH_SILENT,
        description="Registered by gptflow, see docs/operations.md.",
        trigger=EventTrigger(
            after={_BEAT},
            expect={_BEAT, *(f"prefect.flow-run.{end}" for end in _ENDS)},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=_OWN,
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENT_AFTER,
        ),
        actions=[
            ChangeFlowRunState(state=StateType.CRASHED, name=None, message=SILENT, force=False)
        ],
    )


def _register(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Create an automation, or replace its definition if that has changed."""
    found = client.read_automations_by_name(wanted.name)
    if not found:
        client.create_automation(wanted)
    elif _definition(found[0]) != _definition(wanted):
        client.update_automation(
            found[0].id, wanted.model_copy(update={"enabled": found[0].enabled})
        )


def _definition(automation: AutomationCore) -> dict[str, Any]:
    """The definition of an automation, without the parts that the server adds."""
    # Not as JSON, in which a set has another order in each process.
    return automation.model_dump(include={"description", "trigger", "actions"})
