"""The commit is git's, or the one that an image was built with."""

import re
from collections.abc import Iterator

import pytest

from tasks.commit import current_commit, short_commit


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    current_commit.cache_clear()
    yield
    current_commit.cache_clear()


def test_the_commit_is_that_of_the_checkout() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}|", current_commit())
    assert re.fullmatch(r"[0-9a-f]{10}(-dirty)?|", short_commit())


def test_an_image_knows_its_commit_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPTFLOW_COMMIT", "0123456789abcdef")
    assert current_commit() == "0123456789abcdef"
    assert short_commit() == "0123456789"
