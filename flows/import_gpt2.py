"""A GPT-2 release to a checkpoint."""

from prefect import flow

from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


@flow(name="import-gpt2", flow_run_name="{config.name}")
def import_release(config: RunConfig) -> Artifact:
    """A GPT-2 release to a checkpoint."""
    with recorded("import-gpt2", config):
        return to_import(config)


def to_import(config: RunConfig) -> Artifact:
    """Read the release and give its weights our names."""
    release = stages.fetch_gpt2(config.gpt2)
    return stages.import_gpt2(release)
