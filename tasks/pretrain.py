"""Pretraining."""

from functools import partial

from gpt_core.artifact import Artifact
from gpt_core.callbacks import METRICS, SAMPLES, read_records
from gpt_core.config import LaunchConfig, PretrainConfig
from tasks.launch import train
from tasks.plots import loss_figure
from tasks.stage import TrainingShown, running_stage, stage_task
from tasks.tracking import FlowRecord


@partial(stage_task, days=30)
def pretrain(
    shards: Artifact, config: PretrainConfig, flow: FlowRecord, launch: LaunchConfig
) -> Artifact:
    """Token shards to a checkpoint, see ``gpt_core.training.pretrain``.

    A run that was killed goes on from its newest checkpoint, in the MLflow run it had;
    on how many processes is no part of the result's key.
    """
    with running_stage("pretrain", flow, shards, config, resumable=True) as stage:
        with TrainingShown(stage) as shown:
            checkpoint = train(shards, config, stage.out_dir, launch, [shown])
        stage.record.log_figure(loss_figure(read_records(stage.out_dir / METRICS)), "loss")
        stage.record.log_table(read_records(stage.out_dir / SAMPLES), "samples")
        stage.record.log_model(checkpoint, f"{flow.name}-pretrained")
        return stage.done(checkpoint, prefix="best/")  # beside those of the last step
