"""Ranks with other settings, inputs or processes than the first one are named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpt_core.artifact import Artifact
from gpt_core.config import load_config
from gpt_core.errors import ConfigError
from gpt_core.execution.ranks import Ranks
from gpt_core.training.agreement import require_agreement

CONFIG = load_config("tiny").pretrain
SHARDS = Artifact(kind="shards", path="shards", fingerprint="one")


def check(monkeypatch: pytest.MonkeyPatch, first: Callable[[Any], Any]) -> None:
    """Compare this process, as rank 1 of 2, with a first one."""
    monkeypatch.setattr(Ranks, "all_gather_object", lambda _, mine: [first(mine), mine])
    require_agreement(CONFIG, [SHARDS], Ranks(1, 2, 1))


def test_equal_ranks_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[Any] = []
    check(monkeypatch, lambda mine: compared.append(mine) or mine)
    require_agreement(CONFIG, [SHARDS], Ranks())
    assert [part.inputs for part in compared] == [["one"]], "one process compares nothing"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {"training": {"steps": 7}}}, r"\w+ is .*, not "),
        ({"inputs": ["other"]}, "the token shards or the initial checkpoint are other ones"),
        ({"local_size": 3}, "its node has 1 processes, the first one has 3"),
        ({"version": "2.12.0"}, "the first has 2.12.0"),
    ],
)
def test_what_differs_is_named(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        check(monkeypatch, lambda mine: replace(mine, node="there", **change))
    assert "process 1 on " in str(error.value)
    assert "from the first on there: " in str(error.value)
    assert str(error.value).endswith("start every node with the same command")
