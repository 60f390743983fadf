"""A pretrained model to a classifier."""

from prefect import flow

from flows.prepare_data import to_shards
from flows.pretrain import to_checkpoint
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.corpus import fetch_corpus
from tasks.finetune import finetune_classifier
from tasks.tracking import FlowRecord


@flow(name="classify")
def train_classifier(config: RunConfig) -> Artifact:
    """A pretrained model to a classifier; what it needs is made first, if it is not there."""
    with recorded("classify", config) as record:
        checkpoint = to_checkpoint(to_shards(config, record), config, record)
        return to_classifier(checkpoint, config, record)


def to_classifier(checkpoint: Artifact, config: RunConfig, record: FlowRecord) -> Artifact:
    """Fine-tune on labelled texts."""
    messages = fetch_corpus(config.classification.source, "classification")
    classifier: Artifact = finetune_classifier(
        checkpoint, messages, config.classification, config.lora, record
    )
    record.note("finetune_classifier", classifier)
    return classifier
