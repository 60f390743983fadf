"""Judges of tests: settings with short limits."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpt_core.config import JudgeConfig
from gpt_core.judging import Judge, ReplyCache

SHORT = {
    "model": "test", "connect_seconds": 1.0, "read_seconds": 0.3, "answer_seconds": 2.0,
    "run_seconds": 60.0, "check_items": 0, "retry_after_seconds": 0.05,
}  # fmt: skip


@pytest.fixture
def make_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Judge]]:
    """Make judges that keep their replies in the same file, and wait only briefly."""
    monkeypatch.setattr("gpt_core.judging.judge._FIRST_WAIT", 0.01)
    opened: list[ReplyCache] = []

    def make(url: str, key: str | None = None, **settings: object) -> Judge:
        opened.append(ReplyCache(tmp_path / "replies.sqlite"))
        return Judge(JudgeConfig(url=url, **(SHORT | settings)), opened[-1], key)

    yield make
    for cache in opened:
        cache.__exit__(None, None, None)
