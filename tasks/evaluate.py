"""Evaluation."""

from gpt_core.artifact import Artifact
from gpt_core.config import DecodingConfig, EvaluationConfig
from gpt_core.evaluation import REPORT
from gpt_core.evaluation import evaluate_language_model as evaluate
from gpt_core.files import read_json
from tasks.stage import running_stage, stage_task
from tasks.tracking import FlowRecord


@stage_task
def evaluate_language_model(
    checkpoint: Artifact,
    shards: Artifact,
    config: EvaluationConfig,
    decoding: DecodingConfig,
    flow: FlowRecord,
) -> Artifact:
    """A checkpoint to a report, see ``gpt_core.evaluation.evaluate_language_model``."""
    inputs = (checkpoint, shards, config, decoding)
    with running_stage("evaluate_language_model", flow, *inputs) as stage:
        report = evaluate(*inputs, stage.out_dir, progress=stage.progress)
        stage.record.log_table(read_json(report.directory / REPORT)["samples"], "samples")
        return stage.done(report)
