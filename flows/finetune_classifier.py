"""A model to a classifier of texts."""

from prefect import flow

from flows.pretrain import to_checkpoint
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


@flow(name="classify", flow_run_name="{config.name}")
def train_classifier(config: RunConfig) -> Artifact:
    """A model to a classifier of texts; the model is trained first, if it is not there."""
    with recorded("classify", config):
        return to_classifier(to_checkpoint(config), config)


def to_classifier(checkpoint: Artifact, config: RunConfig) -> Artifact:
    """Fine-tune on labelled texts."""
    messages = stages.fetch_corpus(config.classification.source, "classification")
    return stages.finetune_classifier(checkpoint, messages, config.classification, config.lora)
