"""A sentence followed through a model, as a page."""

from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.anatomy import dissect, page_version
from tasks.reads import named_checkpoint


def anatomy(config: RunConfig) -> Artifact:
    """Follow a text through a checkpoint of any kind, the newest if none is named."""
    checkpoint = named_checkpoint(config.checkpoint).read()
    return dissect(checkpoint, config.anatomy, config.cleaning, page_version())
