"""Prefect's server as a web application that answers only to this machine's own pages.

Prefect compares passwords, but looks at neither ``Host`` nor ``Origin``. Both are checked here
before a request reaches it: a page whose name was pointed at 127.0.0.1 after it was loaded sends
its own name as the host (DNS rebinding), and any other page sends its address as the origin.

At its start the server continues the automations where the one before it ended: it waits for the
next heartbeat of each run, as it received none while it was away, and takes the events of the last
states as seen, else those that follow them would be held back for a quarter of an hour.
"""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy
from fastapi import FastAPI
from prefect.server.api.server import create_app as create_prefect_app
from prefect.server.database import PrefectDBInterface, provide_database_interface
from prefect.server.events.ordering import SEEN_EXPIRATION, db, get_triggers_causal_ordering, memory
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.settings import get_current_settings
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse

from tasks.automations import CRASH_SILENT, SILENT_AFTER
from tasks.environment import local_addresses
from tasks.servers import LOGIN_PATH

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

HOSTS = "GPTFLOW_PREFECT_HOSTS"
"""The environment variable with other names of the server, such as ``prefect:4200``."""

_WAIT_FOR_EVENTS = timedelta(seconds=10)
"""How long an event waits for the one before it. Prefect's scheduler makes runs without an event,
so that everything that follows would wait for a quarter of an hour, and with it the restart of a
scheduled run that was killed."""

_LOGIN_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Prefect</title>
<script>
const password = decodeURIComponent(location.hash.slice(1));
if (password) localStorage.setItem("prefect-password", btoa(password));
location.replace("/deployments");
</script>
"""
"""Stores the password where Prefect's UI expects it. A browser never sends what follows the #."""


class LocalOnly:
    """Refuses requests that name another host, or that come from a page of another origin.

    Args:
        app: The application that is protected.
        port: Where the server listens.
        more_hosts: Other names by which clients know it, with their ports.
    """

    def __init__(self, app: "ASGIApp", port: int, more_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(local_addresses(port))
        own = (origin.removeprefix("http://") for origin in self._origins)
        self._hosts = frozenset((*own, *more_hosts))

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request: refuse it, log a browser in, or pass it on."""
        answer = self._answer(scope) if scope["type"] in ("http", "websocket") else None
        await (answer or self._app)(scope, receive, send)

    def _answer(self, scope: "Scope") -> "ASGIApp | None":
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("the host is not this server's own address", 403)
        if origins and not set(origins) <= self._origins:
            return PlainTextResponse("pages of other origins may not ask this server", 403)
        if scope["type"] == "http" and scope["path"] == LOGIN_PATH:
            return HTMLResponse(_LOGIN_PAGE, headers={"Cache-Control": "no-store"})
        return None


def create_app() -> LocalOnly:
    """Prefect's application behind the guard; a factory for uvicorn."""
    port = get_current_settings().server.api.port
    for module in (memory, db):
        module.PRECEDING_EVENT_LOOKBACK = _WAIT_FOR_EVENTS  # type: ignore[attr-defined]
    app = create_prefect_app(final=True)
    begin = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await _remember()
        async with begin(app):
            yield

    app.router.lifespan_context = lifespan
    return LocalOnly(app, port, os.environ.get(HOSTS, "").split())


async def _remember() -> None:
    """Continue the automations where the server before this one ended."""
    now = datetime.now(UTC)
    database = provide_database_interface()
    with suppress(sqlalchemy.exc.DBAPIError):  # a new database has no tables
        async with database.session_context(begin_transaction=True) as session:
            await _expect_heartbeats(database, session, now + SILENT_AFTER)
            state = database.FlowRunState
            recent = sqlalchemy.select(state.id).where(state.timestamp > now - SEEN_EXPIRATION)
            states = (await session.execute(recent)).scalars().all()
        ordering = get_triggers_causal_ordering()
        about = {"occurred": now, "event": "seen", "resource": {"prefect.resource.id": "prefect"}}
        for each in states:  # the event of a state has the state's id
            event = ReceivedEvent.model_validate({"id": each, **about})
            await ordering.record_event_as_seen(event)


async def _expect_heartbeats(
    database: PrefectDBInterface, session: AsyncSession, until: datetime
) -> None:
    """Give each run until a time to send its next heartbeat."""
    bucket, automation = database.AutomationBucket, database.Automation
    crashing = sqlalchemy.select(automation.id).where(automation.name == CRASH_SILENT)
    await session.execute(
        sqlalchemy.update(bucket).where(bucket.automation_id.in_(crashing)).values(end=until)
    )
