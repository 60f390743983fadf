"""Raw text to a pretrained model, or a model that is there already."""

from prefect import flow

from flows.import_gpt2 import to_import
from flows.preflight import given_checkpoint
from flows.prepare_data import to_shards
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.pretrain import pretrain
from tasks.tracking import FlowRecord


@flow(name="pretrain", flow_run_name="{config.name}")
def pretrain_model(config: RunConfig) -> Artifact:
    """Raw text to a pretrained model."""
    with recorded("pretrain", config) as record:
        return to_pretrained(to_shards(config, record), config, record)


def to_pretrained(shards: Artifact, config: RunConfig, record: FlowRecord) -> Artifact:
    """Train on the shards."""
    checkpoint: Artifact = pretrain(shards, config.pretrain, record, config.launch)
    record.note("pretrain", checkpoint)
    return checkpoint


def to_checkpoint(
    config: RunConfig, record: FlowRecord, shards: Artifact | None = None
) -> Artifact:
    """The model that is evaluated and fine-tuned: the one that is named, else one trained here."""
    if config.checkpoint == "gpt2":
        return to_import(config, record)
    if config.checkpoint is not None:
        return given_checkpoint(config.checkpoint)
    return to_pretrained(shards or to_shards(config, record), config, record)
