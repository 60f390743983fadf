"""A model to a classifier of texts."""

from flows.commands.pretrain import ensure_checkpoint
from flows.examples import fetch_examples
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


def classify(config: RunConfig, checkpoint: Artifact | None = None) -> Artifact:
    """Fine-tune a model on labelled texts; the model is made first if none is given."""
    checkpoint = checkpoint or ensure_checkpoint(config)
    examples, held = fetch_examples(config.classification, "classification")
    return stages.finetune_classifier(
        checkpoint, examples, config.classification, config.lora, held
    )
