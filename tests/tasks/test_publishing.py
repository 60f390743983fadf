"""Pages reach Prefect in the background, newest content only, and nothing waits for its server."""

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from tasks import publishing
from tasks.publishing import Publisher

AT_ONCE, PATIENCE = 2.0, 120.0  # seconds; a busy machine is not a failure


@pytest.fixture
def publisher(prefect_home: Path) -> Publisher:
    return Publisher(pause_seconds=0.05)


@pytest.fixture
def stopped(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The number of the server's process, which is continued at the end."""
    record = tmp_path_factory.getbasetemp() / "prefect0" / ".prefect" / "server.json"
    pid = int(json.loads(record.read_text("utf-8"))["pid"])
    yield pid
    os.kill(pid, signal.SIGCONT)


def pages(key: str) -> list[Artifact]:
    with get_client(sync_client=True) as client:
        return client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        )


@contextmanager
def at_once() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < AT_ONCE


def test_a_page_belongs_to_its_run_and_is_replaced(publisher: Publisher) -> None:
    @flow
    def publishes() -> object:
        publisher.publish("bar", "bar-progress", "progress", 10.0)
        assert publisher.flush(PATIENCE)
        publisher.publish("bar", "bar-progress", "progress", 100.0)
        context = FlowRunContext.get()
        return context.flow_run.id if context and context.flow_run else None

    run = publishes()
    assert publisher.flush(PATIENCE)
    (page,) = pages("bar-progress")
    assert (page.flow_run_id, page.data, page.type) == (run, 100.0, "progress")


def test_while_the_server_hangs_the_newest_content_waits(
    publisher: Publisher, stopped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(publishing, "_LONGEST_PAUSE_SECONDS", 0.2)
    publisher.publish("bar", "hanging", "progress", 0.0)
    assert publisher.flush(PATIENCE)
    os.kill(stopped, signal.SIGSTOP)
    with at_once():
        for percent in range(1, 100):
            publisher.publish("bar", "hanging", "progress", float(percent))
        assert not publisher.flush(0.5)
    monkeypatch.setattr(publishing, "_ANSWER_SECONDS", 60.0)
    os.kill(stopped, signal.SIGCONT)
    assert publisher.flush(PATIENCE)
    assert [page.data for page in pages("hanging")] == [99.0]


def test_while_nobody_listens_a_few_pages_wait_and_are_sent_later(
    publisher: Publisher, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_MAX_WAITING", 3)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}), at_once():
        for number in range(9):
            publisher.publish(f"page {number}", "nobody", "markdown", str(number))
        assert not publisher.flush(0.5)
        assert len(publisher._waiting) <= 3


def test_a_page_that_prefect_refuses_is_named_and_dropped(
    publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        with temporary_settings({PREFECT_API_AUTH_STRING: "another"}):
            publisher.publish("page", "refused", "markdown", "text")
        publisher.publish("other", "after-refusal", "markdown", "text")
        assert publisher.flush(PATIENCE)
    assert "Prefect refused the page refused" in caplog.text
    assert pages("refused") == []
    assert [page.data for page in pages("after-refusal")] == ["text"]
