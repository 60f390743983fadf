"""A model to one that answers."""

from prefect import flow

from flows.pretrain import to_checkpoint
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.corpus import fetch_corpus
from tasks.finetune import finetune_instructions
from tasks.tracking import FlowRecord


@flow(name="instruct", flow_run_name="{config.name}")
def train_instructions(config: RunConfig) -> Artifact:
    """A model to one that answers; the model is trained first, if it is not there."""
    with recorded("instruct", config) as record:
        return to_instructions(to_checkpoint(config, record), config, record)


def to_instructions(checkpoint: Artifact, config: RunConfig, record: FlowRecord) -> Artifact:
    """Fine-tune on instructions with answers."""
    examples = fetch_corpus(config.instruction.source, "instruction")
    model: Artifact = finetune_instructions(
        checkpoint, examples, config.instruction, config.lora, record
    )
    record.note("finetune_instructions", model)
    return model
