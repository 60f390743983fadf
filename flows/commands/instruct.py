"""A model to one that follows instructions."""

from flows.commands.judge import judge_answers
from flows.commands.pretrain import ensure_checkpoint
from flows.examples import fetch_examples
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


def instruct(config: RunConfig, checkpoint: Artifact | None = None) -> Artifact:
    """Fine-tune a model on instructions with answers, and have its test answers judged.

    The model is made first if none is given; without the address of a judge, nothing is judged.
    """
    checkpoint = checkpoint or ensure_checkpoint(config)
    examples, held = fetch_examples(config.instruction, "instruction")
    model = stages.finetune_instructions(
        checkpoint, examples, config.instruction, config.lora, held
    )
    if config.judge.url is not None:
        judge_answers(model, config.judge)
    return model
