"""Champions follow each other, none is lost, and each can be taken back."""

import threading
from pathlib import Path

import pytest
from models import pretrained

from gpt_core.errors import DataError
from tasks.tracking import FlowRecord, champions, client
from tasks.tracking.champions import champion_of, crown, promoting, refuse, roll_back
from tasks.tracking.registry import find_version, versions, with_alias


def test_champions_follow_each_other_and_can_be_taken_back(
    registry_home: Path, flow: FlowRecord
) -> None:
    for number in range(3):
        flow.note("pretrain", pretrained(registry_home, f"champion-{number}", 2.0 - number / 10))
    name = f"{flow.prefix}-language-model"
    assert champion_of(name) is None
    with pytest.raises(DataError, match="has no champion, so there is nothing to roll back"):
        roll_back(name)
    first, second, third = sorted(versions(name), key=lambda version: version.version)
    crown(first, {"promoted.because": "it is the first"})
    with pytest.raises(DataError, match="version 1 is the only champion"):
        roll_back(name)
    refuse(third, {"refused.because": "it is worse"})
    crown(second, {})
    crown(third, {})
    assert champion_of(name) == find_version(f"models:/{name}@champion")
    tags = find_version(f"models:/{name}/3").tags
    assert tags["promoted.instead_of"] == "2"
    assert tags["refused.because"] == "it is worse"
    assert [version.version for version in champions() if version.name == name] == [3]
    before, now = roll_back(name)
    assert (before.version, now.version) == (3, 2)
    assert "rolled_back.at" in find_version(f"models:/{name}/3").tags
    client().delete_model_version(name, "1")
    with pytest.raises(DataError, match="version 2 is the only champion"):
        roll_back(name)
    client().set_registered_model_alias(name, "champion", "3")  # in MLflow's UI
    assert roll_back(name)[1].version == 2
    candidate = with_alias(name, "candidate")
    assert candidate is not None
    assert candidate.version == 3


def test_a_promotion_waits_for_another(registry_home: Path) -> None:
    order: list[str] = []
    entered, waited = threading.Event(), threading.Event()

    def second() -> None:
        entered.wait(10)
        with promoting(waited.set):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with promoting(lambda: order.append("never")):
        entered.set()
        assert waited.wait(10)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
