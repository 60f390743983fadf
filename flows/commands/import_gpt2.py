"""A GPT-2 release to a checkpoint."""

from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


def import_gpt2(config: RunConfig) -> Artifact:
    """Fetch a GPT-2 release and import it as a checkpoint."""
    return stages.import_gpt2(stages.fetch_gpt2(config.gpt2))
