"""Raw text to a pretrained model, or a model that is there already."""

from prefect import flow

from flows.import_gpt2 import to_import
from flows.preflight import given_checkpoint
from flows.prepare_data import to_shards
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


@flow(name="pretrain", flow_run_name="{config.name}")
def pretrain_model(config: RunConfig) -> Artifact:
    """Raw text to a pretrained model."""
    with recorded("pretrain", config):
        return to_pretrained(to_shards(config), config)


def to_pretrained(shards: Artifact, config: RunConfig) -> Artifact:
    """Train on the shards."""
    return stages.pretrain(shards, config.pretrain, config.launch)


def to_checkpoint(config: RunConfig, shards: Artifact | None = None) -> Artifact:
    """The model that is evaluated and fine-tuned: the one that is named, else one trained here."""
    if config.checkpoint == "gpt2":
        return to_import(config)
    if config.checkpoint is not None:
        return given_checkpoint(config.checkpoint)
    return to_pretrained(shards or to_shards(config), config)
