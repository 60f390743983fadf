"""Which flow runs the worker of this home has taken, so that one without a process is found.

The claim is written before Prefect's server is asked for the run. So it is there whatever happens
next: the worker or the run is killed before the run began, or the server is away.
"""

import json
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from gpt_core.durable import make_directory
from gpt_core.files import write_json
from tasks import processes
from tasks.paths import running_dir

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun
    from prefect.runner._state_proposer import StateProposer

_CLAIM, _ORPHAN = ".claim.json", "orphan"
_RUN = "PREFECT__FLOW_RUN_ID"  # in the environment of every process of a run


def claim_runs() -> None:
    """Let Prefect's worker in this process claim each run before it takes it."""
    from prefect.runner._state_proposer import StateProposer  # not before its settings are made

    propose = StateProposer.propose_pending

    @wraps(propose)
    async def claim_and_propose(self: "StateProposer", flow_run: "FlowRun") -> bool:
        with suppress(OSError):  # a full disk: its lock shows that it lives, once it works
            claim(flow_run.id)
        return await propose(self, flow_run)

    if not hasattr(propose, "__wrapped__"):
        StateProposer.propose_pending = claim_and_propose  # type: ignore[method-assign]


def claim(run_id: UUID) -> None:
    """Note that the worker of this home has taken a run."""
    make_directory(running_dir())
    write_json(_path(run_id), {_ORPHAN: False})


def release(run_id: UUID) -> None:
    """Forget a run."""
    _path(run_id).unlink(missing_ok=True)


def claimed() -> list[UUID]:
    """The runs that were taken and not yet found at their end."""
    names = (path.name.removesuffix(_CLAIM) for path in running_dir().glob(f"*{_CLAIM}"))
    return sorted(UUID(name) for name in names)


def living() -> set[UUID]:
    """The runs of this home's worker that have a process."""
    found = set()
    for pid in processes.running([processes.WORKER]):
        with suppress(ValueError):
            found.add(UUID(processes.variable(pid, _RUN)))
    return found


def mark_orphans() -> None:
    """Note which runs a killed worker left, before they are asked to end: to start them again."""
    for run_id in living():
        make_directory(running_dir())
        write_json(_path(run_id), {_ORPHAN: True})


def is_orphan(run_id: UUID) -> bool:
    """Whether a run was ended because its worker had been killed."""
    try:
        return bool(json.loads(_path(run_id).read_text(encoding="utf-8"))[_ORPHAN])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def age_seconds(run_id: UUID, now: float) -> float:
    """How long ago a run was taken."""
    with suppress(OSError):
        return now - _path(run_id).stat().st_mtime
    return 0.0


def _path(run_id: UUID) -> Path:
    return running_dir() / f"{run_id}{_CLAIM}"
