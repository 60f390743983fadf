"""A model to a report."""

from prefect import flow

from flows.prepare_data import to_shards
from flows.pretrain import to_checkpoint
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.evaluate import evaluate_language_model
from tasks.tracking import FlowRecord


@flow(name="evaluate")
def evaluate_model(config: RunConfig) -> Artifact:
    """A model to a report; what it needs is made first, if it is not there."""
    with recorded("evaluate", config) as record:
        shards = to_shards(config, record)
        return to_report(to_checkpoint(config, record, shards), shards, config, record)


def to_report(
    checkpoint: Artifact, shards: Artifact, config: RunConfig, record: FlowRecord
) -> Artifact:
    """Measure on held-out text."""
    report: Artifact = evaluate_language_model(
        checkpoint, shards, config.evaluation, config.generation, record
    )
    record.note("evaluate_language_model", report)
    return report
