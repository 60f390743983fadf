"""Raw text to a pretrained model."""

from prefect import flow

from flows.prepare_data import to_shards
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.pretrain import pretrain
from tasks.tracking import FlowRecord


@flow(name="pretrain")
def pretrain_model(config: RunConfig) -> Artifact:
    """Raw text to a pretrained model."""
    with recorded("pretrain", config) as record:
        return to_checkpoint(to_shards(config, record), config, record)


def to_checkpoint(shards: Artifact, config: RunConfig, record: FlowRecord) -> Artifact:
    """Train on the shards."""
    checkpoint: Artifact = pretrain(shards, config.pretrain, record)
    record.note("pretrain", checkpoint)
    return checkpoint
