"""A model to a classifier of texts."""

from prefect import flow

from flows.pretrain import to_checkpoint
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.corpus import fetch_corpus
from tasks.finetune import finetune_classifier
from tasks.tracking import FlowRecord


@flow(name="classify", flow_run_name="{config.name}")
def train_classifier(config: RunConfig) -> Artifact:
    """A model to a classifier of texts; the model is trained first, if it is not there."""
    with recorded("classify", config) as record:
        return to_classifier(to_checkpoint(config, record), config, record)


def to_classifier(checkpoint: Artifact, config: RunConfig, record: FlowRecord) -> Artifact:
    """Fine-tune on labelled texts."""
    messages = fetch_corpus(config.classification.source, "classification")
    classifier: Artifact = finetune_classifier(
        checkpoint, messages, config.classification, config.lora, record
    )
    record.note("finetune_classifier", classifier)
    return classifier
