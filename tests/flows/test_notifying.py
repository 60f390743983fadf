"""The end of a run is a message: what failed or what was made, but not that it was stopped."""

from pathlib import Path

import pytest
from webhook import Hook

from flows.notifying import Ending, describe
from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import NotifyConfig, RunConfig
from gpt_core.errors import DataError
from tasks.notifications import ADDRESSES

EVERYTHING = NotifyConfig(on=("failed", "completed"))


@pytest.fixture
def made(tmp_path: Path) -> Artifact:
    with new_artifact(tmp_path / "model", kind="checkpoint") as draft:
        draft.metrics.update({"seconds": 3.0, "validation_loss": 1.23456})
    return draft.artifact


def test_a_result_is_described_by_its_telling_metrics(made: Artifact) -> None:
    assert describe(made) == f"{made.path} (validation_loss 1.235)"
    assert describe({"pretrained": made}).startswith("pretrained /")
    assert describe(None) == ""


def test_a_message_has_the_end_of_a_run(made: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(error: BaseException | None, config: NotifyConfig) -> None:
        with Ending("pretrain", RunConfig(name="unknown")) as ending:
            ending.config = RunConfig(name="small", notify=config)
            if error is not None:
                raise error
            ending.result = made

    with Hook().serving() as hook:
        monkeypatch.setenv(ADDRESSES, hook.address)
        run(None, EVERYTHING)
        run(None, NotifyConfig())
        with pytest.raises(DataError):
            run(DataError("https://me:word@host is gone"), NotifyConfig())
        with pytest.raises(ZeroDivisionError):
            run(ZeroDivisionError("by zero"), EVERYTHING)
        for stop in (KeyboardInterrupt(), SystemExit(143)):
            with pytest.raises(type(stop)):
                run(stop, EVERYTHING)
    assert hook.texts == [
        f"pretrain small is done\n{made.path} (validation_loss 1.235)",
        "pretrain small failed\nhttps://***@host is gone",
        "pretrain small failed\nZeroDivisionError('by zero')",
    ]
