"""GPT-2 weights, in and out."""

from pathlib import Path

from gpt_core.artifact import Artifact, fingerprint_of
from gpt_core.config import GPT2ImportConfig
from gpt_core.interop import export_huggingface as export
from gpt_core.interop import import_gpt2 as convert
from gpt_core.text import register_source, source_path
from tasks.hub import release_of
from tasks.hub_download import fetch_release
from tasks.paths import stage_dir
from tasks.stage import network_task, running_stage, shown_progress, stage_task
from tasks.tracking import FlowRecord


@network_task
def fetch_gpt2(config: GPT2ImportConfig) -> Artifact:
    """A release, fetched if it is one of a hub, recorded by its content."""
    release = release_of(config)
    folder = Path(config.source).expanduser().resolve()
    if release is not None:
        folder = fetch_release(release, config.mirrors, shown_progress("fetch_gpt2"))
    return register_source(
        folder, stage_dir("fetch_gpt2", folder.name, fingerprint_of(str(folder)))
    )


@stage_task
def import_gpt2(release: Artifact, flow: FlowRecord) -> Artifact:
    """A GPT-2 release to a checkpoint, see ``gpt_core.interop.import_gpt2``."""
    with running_stage("import_gpt2", flow, release) as stage:
        checkpoint = convert(source_path(release), stage.out_dir, progress=stage.progress)
        stage.record.log_model(checkpoint, f"{flow.name}-imported")
        return stage.done(checkpoint)


@stage_task
def export_huggingface(checkpoint: Artifact, flow: FlowRecord) -> Artifact:
    """A checkpoint to a directory that ``transformers`` opens."""
    with running_stage("export_huggingface", flow, checkpoint) as stage:
        return stage.done(export(checkpoint, stage.out_dir))
