"""Wait in tests for what other processes do."""

import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

PATIENCE_SECONDS = 240.0


def eventually(what: Callable[[], Any]) -> Any:
    """The first answer that is true; the test fails if there is none in time."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.5)
    pytest.fail("it did not come to pass")


def answers(url: str) -> bool:
    """Whether a server answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
