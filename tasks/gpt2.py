"""GPT-2 weights, in and out."""

from pathlib import Path

from gpt_core.artifact import Artifact
from gpt_core.config import GPT2ImportConfig
from gpt_core.interop import export_huggingface as export
from gpt_core.interop import import_gpt2 as convert
from tasks.stage import running_stage, stage_task
from tasks.tracking import FlowRecord


@stage_task
def import_gpt2(release: Artifact, config: GPT2ImportConfig, flow: FlowRecord) -> Artifact:
    """A GPT-2 release to a checkpoint, see ``gpt_core.interop.import_gpt2``."""
    with running_stage("import_gpt2", flow, release, config) as stage:
        directory = Path(config.source).expanduser().resolve()
        checkpoint = convert(directory, stage.out_dir, progress=stage.progress)
        stage.record.log_model(checkpoint, f"{flow.name}-imported")
        return stage.done(checkpoint)


@stage_task
def export_huggingface(checkpoint: Artifact, flow: FlowRecord) -> Artifact:
    """A checkpoint to a directory that ``transformers`` opens."""
    with running_stage("export_huggingface", flow, checkpoint) as stage:
        return stage.done(export(checkpoint, stage.out_dir))
