"""A deployed run logs its stages, evaluations, samples and notices."""

import logging
from pathlib import Path

import pytest

from flows.run_log import RunLog
from gpt_core.artifact import Artifact, new_artifact


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    with new_artifact(tmp_path / "report", kind="report", parents=[]) as draft:
        draft.metrics["loss"] = 1.25
    return draft.artifact


def test_a_stage_is_logged_once_with_its_metrics(
    artifact: Artifact, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log = RunLog(logging.getLogger("run"))
    log.stage_present("clean_corpus", artifact)
    log.stage_started("evaluate")
    log.stage_finished("evaluate", artifact, 1.26)
    log.stage_present("evaluate", artifact)
    assert caplog.messages == [
        f"clean_corpus was done before: {artifact.path} (loss 1.25)",
        "evaluate starts",
        f"evaluate is done in 1.3 s: {artifact.path} (loss 1.25)",
    ]


def test_of_the_metrics_evaluations_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = RunLog(logging.getLogger("run"))
    log.metrics("pretrain", 5, {"train/loss": 3.0})
    log.metrics("pretrain", 6, {"train/loss": 2.0, "validation/loss": 2.5})
    log.sample("pretrain", 6, "In", "In winter %s")
    log.notice("the disk is 90% full")
    assert caplog.messages == [
        "pretrain, step 6: validation/loss 2.5000",
        "pretrain, step 6: In -> In winter %s",
        "the disk is 90% full",
    ]
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO", "WARNING"]
