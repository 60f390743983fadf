"""A model to one that answers."""

from prefect import flow

from flows.pretrain import to_checkpoint
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


@flow(name="instruct", flow_run_name="{config.name}")
def train_instructions(config: RunConfig) -> Artifact:
    """A model to one that answers; the model is trained first, if it is not there."""
    with recorded("instruct", config):
        return to_instructions(to_checkpoint(config), config)


def to_instructions(checkpoint: Artifact, config: RunConfig) -> Artifact:
    """Fine-tune on instructions with answers."""
    examples = stages.fetch_corpus(config.instruction.source, "instruction")
    return stages.finetune_instructions(checkpoint, examples, config.instruction, config.lora)
