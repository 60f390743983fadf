"""Answers to their scores by another model."""

from dataclasses import replace

from gpt_core.artifact import Artifact
from gpt_core.config import JudgeConfig, RunConfig
from gpt_core.judging import require_scores
from tasks import stages
from tasks.planning import PendingArtifact
from tasks.reads import Given, answers_read


def judge(config: RunConfig) -> Artifact:
    """Have a model score the answers of a checkpoint or of a file.

    Raises:
        DataError: If the judge gave no usable reply at all; the report has the reasons.
    """
    if config.checkpoint is not None and config.judge.answers is None:
        answers = Given(config.checkpoint, "checkpoint").read()
    else:
        answers = stages.fetch_corpus(str(config.judge.answers), "answers")
    report = judge_answers(answers, config.judge)
    if not isinstance(report, PendingArtifact):
        require_scores(report)
    return report


def judge_answers(answers: Artifact, config: JudgeConfig) -> Artifact:
    """Score answers, and compare them with others if those are named."""
    others = [_others(config.against)] if config.against is not None else []
    # Where the answers come from is part of the artifacts, not of the judge.
    alone = replace(config, answers=None, against=None)
    return stages.judge_answers([answers, *others], alone)


def _others(named: str) -> Artifact:
    """The other answers: those of a checkpoint, or a file."""
    read = answers_read(named)
    return read.read() if isinstance(read, Given) else stages.fetch_corpus(read.name, read.role)
