"""A model to one that follows instructions."""

from flows.commands.pretrain import ensure_checkpoint
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


def instruct(config: RunConfig, checkpoint: Artifact | None = None) -> Artifact:
    """Fine-tune a model on instructions with answers; the model is made first if none is given."""
    checkpoint = checkpoint or ensure_checkpoint(config)
    examples = stages.fetch_corpus(config.instruction.source, "instruction")
    return stages.finetune_instructions(checkpoint, examples, config.instruction, config.lora)
