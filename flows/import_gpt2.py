"""A GPT-2 release to a checkpoint."""

from prefect import flow

from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.gpt2 import fetch_gpt2, import_gpt2
from tasks.tracking import FlowRecord


@flow(name="import-gpt2", flow_run_name="{config.name}")
def import_release(config: RunConfig) -> Artifact:
    """A GPT-2 release to a checkpoint."""
    with recorded("import-gpt2", config) as record:
        return to_import(config, record)


def to_import(config: RunConfig, record: FlowRecord) -> Artifact:
    """Read the release and give its weights our names."""
    release = fetch_gpt2(config.gpt2)
    checkpoint: Artifact = import_gpt2(release, record)
    record.note("import_gpt2", checkpoint)
    return checkpoint
