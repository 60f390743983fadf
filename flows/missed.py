"""Skip scheduled runs that could not start in time, if their deployment says so.

Prefect starts every scheduled run that it created before, however late. Two ways lead past that:
an automation cancels runs that are late while the server runs and nothing takes them, and a run
that starts late, because the server was away too, ends at once.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from prefect.client.schemas.objects import State, StateType
from prefect.events import DeploymentEventTrigger, ResourceSpecification
from prefect.events.actions import ActionTypes, ChangeFlowRunState
from prefect.events.schemas.automations import Posture
from prefect.states import Cancelled

_LATE_AFTER = 15  # seconds, PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS
_MIN_WITHIN = 10  # seconds, of a proactive trigger
_STATE, _AUTOMATIC = "Missed", "auto-scheduled"
_TAG = re.compile(r"skip after (\d+) s")


class SkipLateRuns(DeploymentEventTrigger):
    """Cancels the scheduled runs of a deployment that are late for too long."""

    def set_deployment_id(self, deployment_id: UUID) -> None:
        """Restrict the trigger to the runs of a deployment."""
        super().set_deployment_id(deployment_id)
        self.match_related = ResourceSpecification.model_validate(
            {
                "prefect.resource.role": "deployment",
                "prefect.resource.id": f"prefect.deployment.{deployment_id}",
            }
        )

    def actions(self) -> list[ActionTypes]:
        """Cancel the run, instead of starting another one."""
        message = "it was not started in time, and missed runs are skipped"
        return [
            ChangeFlowRunState(state=StateType.CANCELLED, name=_STATE, message=message, force=False)
        ]


def skipping_trigger(name: str, grace: int) -> SkipLateRuns:
    """A trigger for a deployment.

    Args:
        name: The name of its automation.
        grace: Seconds after its time until a run counts as missed.
    """
    return SkipLateRuns(
        name=name,
        description="Skips the runs that were missed, as deployments.toml says.",
        match=ResourceSpecification.model_validate({"prefect.resource.id": "prefect.flow-run.*"}),
        after={"prefect.flow-run.Late"},
        expect={f"prefect.flow-run.{state}" for state in ("Pending", "Running", "Cancelled")},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=max(grace - _LATE_AFTER, _MIN_WITHIN)),
    )


def skipping_tag(grace: int) -> str:
    """The tag of a deployment by which its runs know that they are skipped if they are missed."""
    return f"skip after {grace} s"


def missed_state(
    tags: Iterable[str], scheduled: datetime, now: datetime, run_count: int
) -> State[None] | None:
    """The state of a run that starts too late, or None if it is to run.

    Args:
        tags: Its tags, of which one is from its deployment.
        scheduled: When it should have started.
        now: The time.
        run_count: How often it has started, this time included; a restart is never skipped.
    """
    found = [match for tag in tags if (match := _TAG.fullmatch(tag))]
    if not found or _AUTOMATIC not in tags or run_count > 1:
        return None
    late = (now - scheduled).total_seconds()
    if late <= int(found[0][1]):
        return None
    message = f"it would have started {late:,.0f} s late, and missed runs are skipped"
    return Cancelled(name=_STATE, message=message)
