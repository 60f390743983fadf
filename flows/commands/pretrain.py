"""Raw text to a pretrained model; the model that other flows evaluate and fine-tune."""

from flows.commands.import_gpt2 import import_gpt2
from flows.commands.prepare import prepare
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages
from tasks.reads import Given


def pretrain(config: RunConfig, shards: Artifact | None = None) -> Artifact:
    """Pretrain a model on token shards, which are prepared first if none are given."""
    return stages.pretrain(shards or prepare(config), config.pretrain, config.launch)


def ensure_checkpoint(config: RunConfig, shards: Artifact | None = None) -> Artifact:
    """The model to evaluate or fine-tune: the named one, the GPT-2 release, or one pretrained."""
    if config.checkpoint is None:
        return pretrain(config, shards)
    if config.checkpoint == "gpt2":
        return import_gpt2(config)
    return Given(config.checkpoint, "checkpoint").read()
