"""Prefect's automations of gptflow: runs without a heartbeat crash, killed ones start again.

A run sends a heartbeat every half minute, from a command and from a deployment alike. Prefect's
server calls it crashed when none has come for a while, and puts a run of a deployment that was
killed back into its schedule, as often as its number of starts allows. Both look only at runs with
gptflow's tag, because the server may have runs of others too.
"""

import logging
import signal
from datetime import timedelta
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
RESTART_KILLED = "gptflow: killed runs start again"
"""The names of the automations."""

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
_DEPLOYED = ResourceSpecification({"prefect.resource.role": "deployment"})

_log = logging.getLogger(__name__)


def register_automations(restarts: int | None = None) -> None:
    """Register both automations, or bring those of an earlier version up to date.

    One that was switched off in Prefect's UI stays off.

    Args:
        restarts: How often a killed run is started again; None leaves that as it is.
    """
    wanted = [_crash_silent(), *([] if restarts is None else [_restart_killed(restarts)])]
    settings = {"timeout": _ANSWER_SECONDS}
    try:
        with get_client(sync_client=True, httpx_settings=settings) as client:
            for automation in wanted:
                _register(client, automation)
    except (HTTPError, PrefectException, OSError) as error:
        _log.info("Prefect did not take the automations: %s", error)


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


def _restart_killed(restarts: int) -> AutomationCore:
    """Schedule a deployment's run again whose process was killed, some times at most.

    The trigger looks at the number of starts, so that no run is started for ever, and at the
    message, so that no run is started again that ended by an error of its own or was asked to end.
    """
    starts = [str(start) for start in range(1, restarts + 1)] or ["never"]
    return AutomationCore(
        name=RESTART_KILLED,
        description="Registered by gptflow up, see docs/operations.md.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Crashed"},
            match=ResourceSpecification(
                {
                    "prefect.resource.id": "prefect.flow-run.*",
                    "prefect.run-count": starts,
                    "prefect.state-message": [f"{SILENT}*", f"{KILLED}*", *_worker_messages()],
                }
            ),
            match_related=[_OWN, _DEPLOYED],
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED,
                name="AwaitingRetry",
                message=f"It starts again and continues, {restarts} times at most",
                force=False,
            )
        ],
    )


def _worker_messages() -> list[str]:
    """Messages of Prefect's workers about killed processes: a signal, or a shell's code for it."""
    codes = [code for each in _SIGNALS for code in (-each, 128 + each)]
    return [f"*exited with*status code: {code}.*" for code in codes]


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
