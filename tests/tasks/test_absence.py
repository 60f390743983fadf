"""A flow's own outcome counts when it cannot be reported to Prefect."""

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from httpx import ConnectError
from prefect.settings import get_current_settings, temporary_settings

from gpt_core.errors import DataError
from tasks import absence
from tasks.absence import Outcome
from tasks.progress import Display, use_display

EXIT = """
import sys, threading, time
from tasks import absence
absence._AWAY.set()
print("done")
threading._register_atexit(time.sleep, 60)
absence.exit_if_prefect_is_away(3)
"""


class Notices(Display):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def notice(self, message: str) -> None:
        self.shown.append(message)


@pytest.fixture
def outcome(home: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """An outcome in a home without a server."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(absence, "_AWAY", threading.Event())
    return Outcome()


def fail(error: Exception) -> object:
    raise error


def lose(outcome: Outcome, error: Exception | None) -> object:
    """A run whose end cannot be reported."""
    try:
        outcome.keep(lambda: fail(error) if error else "made")
    finally:
        raise ConnectError("nobody listens")


def test_the_result_and_one_sentence_remain(outcome: Outcome) -> None:
    notices = Notices()
    with temporary_settings({}), use_display(notices):
        assert outcome.restore(lambda: lose(outcome, None)) == "made"
        assert get_current_settings().client.max_retries == 0
    assert len(notices.shown) == 1
    assert "Prefect's server is away" in notices.shown[0]


def test_the_mistake_of_the_user_remains(outcome: Outcome) -> None:
    with temporary_settings({}), pytest.raises(DataError, match="no such file"):
        outcome.restore(lambda: lose(outcome, DataError("no such file")))


def test_a_run_that_did_not_begin_fails(outcome: Outcome) -> None:
    with pytest.raises(ConnectError):
        outcome.restore(lambda: fail(ConnectError("nobody listens")))


def test_a_connection_that_the_flow_itself_lost_is_its_error(outcome: Outcome) -> None:
    error = ConnectError("a download")
    with temporary_settings({}), pytest.raises(ConnectError, match="a download"):
        outcome.restore(lambda: outcome.keep(lambda: fail(error)))


def test_a_server_that_answers_is_waited_for_as_always(
    prefect_home: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    before = get_current_settings().client.max_retries
    outcome = Outcome()
    assert outcome.restore(lambda: outcome.keep(lambda: "made")) == "made"
    assert get_current_settings().client.max_retries == before > 0
    assert not absence._AWAY.is_set()


def test_the_exit_waits_for_no_thread_of_prefect(project_root: Path) -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", EXIT], cwd=project_root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (3, "done\n")
    assert time.monotonic() - started < 55.0


def test_without_absence_the_exit_is_as_always() -> None:
    absence.exit_if_prefect_is_away(3)
    before = logging.raiseExceptions
    absence.silence_logging_errors()
    assert logging.raiseExceptions is False
    logging.raiseExceptions = before
