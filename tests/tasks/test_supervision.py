"""While ``gptflow up`` runs, a server that ends starts again, and its worker never gives up."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.runner import _scheduled_run_poller as poller
from waiting import eventually

from tasks import supervision
from tasks.servers import PrefectServer, recorded_servers, stop_prefect_server
from tasks.supervision import supervise


@pytest.fixture
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Prefect server of a home of its own."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    os.environ["GPTFLOW_HOME"] = str(tmp_path)
    monkeypatch.setattr(supervision, "_PAUSE_SECONDS", 0.2)
    server = PrefectServer()
    server.start()
    server.wait()
    yield
    stop_prefect_server()
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("own_server")
def test_a_server_that_ends_starts_again_where_it_was() -> None:
    lines: list[str] = []
    with supervise(lines.append):
        (first,) = recorded_servers()
        os.kill(first.pid, signal.SIGKILL)
        (second,) = eventually(lambda: [s for s in recorded_servers() if s.pid != first.pid])
        second.wait()
        assert second.url == first.url
    assert lines == [f"prefect's server had ended: it starts again at {first.url}"]


def test_the_worker_waits_for_its_server_as_long_as_it_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(poller, "critical_service_loop", poller.critical_service_loop)
    supervision._never_give_up()
    calls = 0

    async def poll() -> None:
        nonlocal calls
        calls += 1
        if calls == 20:
            raise asyncio.CancelledError
        raise httpx.ConnectError("nobody listens")

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(poller.critical_service_loop(workload=poll, interval=0.0))
    assert calls == 20, "its own limit is three"
