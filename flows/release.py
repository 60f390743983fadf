"""A model to a directory that ``transformers`` opens."""

from prefect import flow

from flows.pretrain import to_checkpoint
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


@flow(name="release", flow_run_name="{config.name}")
def release_model(config: RunConfig) -> Artifact:
    """A model to a directory that ``transformers`` opens; it is made first, if it is not there."""
    with recorded("release", config):
        return stages.export_huggingface(to_checkpoint(config))
