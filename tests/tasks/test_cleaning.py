"""Artifacts are removed or stay for a reason; nothing that is needed goes, also after a kill."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from gpt_core.artifact import Artifact, new_artifact
from tasks import cleaning
from tasks.cleaning import Rules, decide, freed, remove
from tasks.tracking import Needed

NEWEST = Rules(keep=1, older_than=0.0)


def make(
    path: Path, kind: str, *parents: Artifact, age: float = 0.0, loss: float | None = None
) -> Artifact:
    with new_artifact(path, kind=kind, config={"of": path.name}, parents=parents) as draft:
        (draft.directory / "content").write_bytes(b"x" * 1000)
        if loss is not None:
            draft.metrics["validation_loss"] = loss
    then = time.time() - age
    for each in (path / "manifest.json", path):
        os.utime(each, (then, then))
    return draft.artifact


@pytest.fixture
def data(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two rounds of a pipeline: the first is older; its run has three checkpoints."""
    monkeypatch.setattr(cleaning, "needed_artifacts", list)
    monkeypatch.setattr(cleaning, "running_since", lambda: None)
    monkeypatch.setattr(cleaning, "note_removed", lambda fingerprints: None)
    data = home / "data"
    for round_, age in (("1", 900.0), ("2", 300.0)):
        corpus = make(data / "corpora" / f"mine-{round_}", "documents", age=age)
        shards = make(data / "shards" / f"mine-{round_}", "shards", corpus, age=age)
        run = data / "checkpoints" / f"mine-{round_}"
        for step, loss in ((1, 3.0), (2, 1.0), (3, 2.0)):
            make(run / f"step-{step:08d}", "checkpoint", shards, age=age, loss=loss)
        (run / "metrics.jsonl").touch()
    return data


def removed(rules: Rules = NEWEST) -> set[str]:
    return {each.item.name for each in decide(rules) if each.removed}


FIRST_ROUND = {"mine-1", *(f"mine-1/step-{step:08d}" for step in (1, 2, 3))}
SUPERSEDED = "mine-2/step-00000001"


def test_the_newest_of_each_kind_stay_with_their_best_and_last_checkpoint(data: Path) -> None:
    reasons = {
        each.item.name: each.why for each in decide(NEWEST) if each.item.place.name == "mine-2"
    }
    assert removed() == {*FIRST_ROUND, SUPERSEDED}
    assert reasons["mine-2/step-00000003"] == "among the newest 1 of checkpoint mine"
    assert reasons[SUPERSEDED] == "neither the best nor the last checkpoint of its run"


def test_what_was_used_since_stays(data: Path) -> None:
    assert removed(Rules(keep=0, older_than=600.0)) == FIRST_ROUND
    assert removed(Rules(keep=0, older_than=3600.0)) == set()


@pytest.mark.parametrize("pin", ["champion", "file"])
def test_a_needed_checkpoint_stays_with_what_it_was_made_from(
    data: Path, pin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data / "checkpoints" / "mine-1" / "step-00000001"
    if pin == "file":
        (path / ".keep").touch()
        os.utime(path, (0.0, 0.0))
    else:
        needed = Needed("champion of mine", frozenset(), frozenset([str(path)]))
        monkeypatch.setattr(cleaning, "needed_artifacts", lambda: [needed])
    assert removed() == {"mine-1/step-00000002", "mine-1/step-00000003", SUPERSEDED}
    whys = {(each.item.group, each.item.place.name): each.why for each in decide(NEWEST)}
    assert whys["documents mine", "mine-1"] == "mine-1 was made from it"


def test_what_a_running_run_uses_stays(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "running_since", lambda: time.time() - 600.0)
    assert removed(Rules(keep=0, older_than=0.0)) == FIRST_ROUND
    with FileLock(data / "checkpoints" / "mine-1" / "run.lock"):
        assert removed(Rules(keep=0, older_than=0.0)) == set()


def test_what_goes_is_gone_with_its_run_and_its_bytes(data: Path) -> None:
    decisions = decide(NEWEST)
    gone = [each for each in decisions if each.removed]
    assert freed(gone, decisions) > 6 * 1000
    assert {each.item.name for each in remove([each.item.path for each in gone], NEWEST)} == {
        *FIRST_ROUND, SUPERSEDED,
    }  # fmt: skip
    left = sorted(str(path.relative_to(data)) for path in data.glob("[cs]*/*"))
    assert left == ["checkpoints/mine-2", "corpora/mine-2", "shards/mine-2"]
    steps = sorted(path.name for path in (data / "checkpoints" / "mine-2").iterdir())
    assert steps == ["metrics.jsonl", "step-00000002", "step-00000003"]


def test_a_run_that_began_to_use_something_meanwhile_keeps_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [each.item.path for each in decide(NEWEST) if each.removed]
    os.utime(data / "shards" / "mine-1")
    monkeypatch.setattr(cleaning, "running_since", lambda: time.time() - 60.0)
    gone = {str(each.item.path.relative_to(data)) for each in remove(shown, NEWEST)}
    assert "shards/mine-1" not in gone
    assert "corpora/mine-1" not in gone, "the shards were made from it"
    assert "checkpoints/mine-1/step-00000001" in gone


KILLED = """
import os, shutil, signal
from tasks import cleaning
cleaning.needed_artifacts, cleaning.running_since = list, lambda: None
def kill(path, ignore_errors):
    os.kill(os.getpid(), signal.SIGKILL)
shutil.rmtree = kill
rules = cleaning.Rules(keep=1, older_than=0.0)
cleaning.remove([each.item.path for each in cleaning.decide(rules) if each.removed], rules)
"""


def test_what_a_killed_cleaning_left_is_removed_by_the_next_command(data: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED], env=dict(os.environ), check=False)
    assert killed.returncode == -9
    hidden = list(data.glob("*/.*.old"))
    assert len(hidden) == 4, "what goes has no name that anything reads"
    assert removed() == set()
    remove([], NEWEST)
    assert list(data.glob("*/.*.old")) == []
    assert len(list(data.glob("*/mine-2"))) == 3
