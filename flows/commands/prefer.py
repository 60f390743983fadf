"""A model to one whose answers people prefer."""

from flows.commands.pretrain import ensure_checkpoint
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


def prefer(config: RunConfig, checkpoint: Artifact | None = None) -> Artifact:
    """Tune a model on pairs of a better and a worse answer; it is made first if none is given."""
    checkpoint = checkpoint or ensure_checkpoint(config)
    examples = stages.fetch_corpus(config.preference.source, "preference")
    return stages.finetune_preferences(checkpoint, examples, config.preference, config.lora)
