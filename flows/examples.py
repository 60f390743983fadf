"""Fetch the examples of a fine-tune: its source, and the files that are splits of their own."""

from gpt_core.artifact import Artifact
from gpt_core.config import FinetuningConfig
from tasks import stages
from tasks.reads import Role


def fetch_examples(config: FinetuningConfig, role: Role) -> tuple[Artifact, dict[str, Artifact]]:
    """Register the examples of a fine-tune.

    Returns:
        The source, and the files for validation and test by these names, where they are set.
    """
    held = {n: stages.fetch_corpus(source, role) for n, source in config.held_sources().items()}
    return stages.fetch_corpus(config.source, role), held
