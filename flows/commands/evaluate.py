"""A model to a report."""

from flows.commands.prepare import prepare
from flows.commands.pretrain import ensure_checkpoint
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from gpt_core.errors import DataError
from tasks import stages
from tasks.planning import PendingArtifact


def evaluate(
    config: RunConfig, checkpoint: Artifact | None = None, shards: Artifact | None = None
) -> Artifact:
    """Evaluate a model on held-out text; shards and model are made first if none are given."""
    shards = shards or prepare(config)
    require_held_out(shards, config)
    checkpoint = checkpoint or ensure_checkpoint(config, shards)
    return stages.evaluate_language_model(checkpoint, shards, config.evaluation, config.generation)


def require_held_out(shards: Artifact, config: RunConfig) -> None:
    """Require, before anything is trained, that there is text to evaluate on.

    Raises:
        DataError: If the split that is to be evaluated has no text.
    """
    split = config.evaluation.split
    if not isinstance(shards, PendingArtifact) and not shards.manifest().info_int(
        "n_tokens", split
    ):
        raise DataError(
            f"no document of {config.source} fell into the {split} part: raise "
            f"cleaning.{split}_share or give more documents"
        )
