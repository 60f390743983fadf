"""The worker claims its runs before it asks for them; a run without a claim is nobody's here."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.runner._state_proposer import StateProposer
from prefect.states import Scheduled

from tasks import claims


@flow(name="claimed")
def claimed() -> None:
    """A flow of which only the record matters."""


def test_the_worker_claims_a_run_before_it_asks_for_it(
    prefect_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StateProposer, "propose_pending", StateProposer.propose_pending)
    claims.claim_runs()
    once = StateProposer.propose_pending
    claims.claim_runs()
    assert StateProposer.propose_pending is once

    async def take() -> bool:
        async with get_client() as client:
            run = await client.create_flow_run(claimed, state=Scheduled())
            assert claims.claimed() == []
            taken = await StateProposer(client=client).propose_pending(run)
            assert claims.claimed() == [run.id]
            state = (await client.read_flow_run(run.id)).state
            return taken and state is not None and state.type == StateType.PENDING

    assert asyncio.run(take())


def test_a_claim_is_kept_until_it_is_released(home: Path) -> None:
    run, other = uuid4(), uuid4()
    assert not claims.is_orphan(run)
    assert claims.age_seconds(run, 1e12) == 0.0, "nobody took it"
    for each in (run, other):
        claims.claim(each)
    assert claims.age_seconds(run, 1e12) > 1e11
    assert claims.living() == set()
    claims.mark_orphans()
    assert not claims.is_orphan(run), "it has no process that could be asked to end"
    claims.release(run)
    claims.release(run)
    assert claims.claimed() == [other]
