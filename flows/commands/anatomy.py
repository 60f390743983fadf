"""A sentence followed through a model, as a page and as notebooks."""

from dataclasses import replace

from gpt_core.artifact import REPORT, Artifact
from gpt_core.config import RunConfig
from gpt_core.files import read_json
from tasks.anatomy import dissect, page_version, write_notebooks
from tasks.planning import PendingArtifact
from tasks.reads import named_checkpoint


def anatomy(config: RunConfig) -> Artifact:
    """Follow a text through a checkpoint of any kind, the newest if none is named."""
    checkpoint = named_checkpoint(config.checkpoint).read()
    alone = replace(config.anatomy, notebooks=None)  # a folder is no part of the report
    report = dissect(checkpoint, alone, config.cleaning, page_version())
    folder = config.anatomy.notebooks
    if folder is not None and not isinstance(report, PendingArtifact):
        content = read_json(report.directory / REPORT)
        shown = list(content["chapters"])
        write_notebooks(checkpoint, content["about"]["text"], config.cleaning, shown, folder)
    return report
