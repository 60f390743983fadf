"""A model to a directory that ``transformers`` opens."""

from flows.commands.pretrain import ensure_checkpoint
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


def release(config: RunConfig) -> Artifact:
    """Export a model for ``transformers``; the model is made first if none is given."""
    return stages.export_huggingface(ensure_checkpoint(config))
