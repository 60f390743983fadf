"""A model to a report."""

from prefect import flow

from flows.prepare_data import to_shards
from flows.pretrain import to_checkpoint
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from gpt_core.errors import DataError
from tasks import stages


@flow(name="evaluate", flow_run_name="{config.name}")
def evaluate_model(config: RunConfig) -> Artifact:
    """A model to a report; what it needs is made first, if it is not there."""
    with recorded("evaluate", config):
        shards = to_shards(config)
        require_held_out(shards, config)
        return to_report(to_checkpoint(config, shards), shards, config)


def require_held_out(shards: Artifact, config: RunConfig) -> None:
    """See before anything is trained that there is text to measure it on.

    Raises:
        DataError: If the part that is to be evaluated has no text.
    """
    split = config.evaluation.split
    if not shards.manifest().info_int("n_tokens", split):
        raise DataError(
            f"no document of {config.source} fell into the {split} part: raise "
            f"cleaning.{split}_share or give more documents"
        )


def to_report(checkpoint: Artifact, shards: Artifact, config: RunConfig) -> Artifact:
    """Measure on held-out text."""
    return stages.evaluate_language_model(checkpoint, shards, config.evaluation, config.generation)
