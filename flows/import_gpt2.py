"""A GPT-2 release to a checkpoint."""

from prefect import flow

from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.corpus import fetch_corpus
from tasks.gpt2 import import_gpt2


@flow(name="import-gpt2")
def import_release(config: RunConfig) -> Artifact:
    """A GPT-2 release to a checkpoint."""
    with recorded("import-gpt2", config) as record:
        release = fetch_corpus(config.gpt2.source, "text")
        checkpoint: Artifact = import_gpt2(release, config.gpt2, record)
        record.note("import_gpt2", checkpoint)
        return checkpoint
