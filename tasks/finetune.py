"""Fine-tuning for classes and for instructions."""

import pandas as pd

from gpt_core.artifact import Artifact
from gpt_core.config import ClassificationConfig, InstructionConfig, LoRAConfig
from gpt_core.files import read_json
from gpt_core.finetuning import finetune_classifier as train_classifier
from gpt_core.finetuning import finetune_instructions as train_instructions
from tasks.plots import confusion_figure, loss_figure
from tasks.stage import Stage, TrainingShown, running_stage, stage_task
from tasks.tracking import FlowRecord


@stage_task
def finetune_classifier(
    checkpoint: Artifact,
    examples: Artifact,
    config: ClassificationConfig,
    lora: LoRAConfig,
    flow: FlowRecord,
) -> Artifact:
    """A checkpoint to a classifier, see ``gpt_core.finetuning.finetune_classifier``."""
    inputs = (checkpoint, examples, config, lora)
    with running_stage("finetune_classifier", flow, *inputs) as stage:
        with TrainingShown(stage) as shown:
            classifier = train_classifier(*inputs, stage.out_dir, callbacks=[shown])
        stage.record.log_figure(loss_figure(shown.records), "loss")
        rows = read_json(classifier.directory / "confusion.json")
        stage.record.log_figure(confusion_figure(rows), "confusion")
        _log_parquet(stage, classifier, "predictions")
        stage.record.log_model(classifier, f"{flow.name}-classifier")
        return stage.done(classifier)


@stage_task
def finetune_instructions(
    checkpoint: Artifact,
    examples: Artifact,
    config: InstructionConfig,
    lora: LoRAConfig,
    flow: FlowRecord,
) -> Artifact:
    """A checkpoint to an answering model, see ``gpt_core.finetuning.finetune_instructions``."""
    inputs = (checkpoint, examples, config, lora)
    with running_stage("finetune_instructions", flow, *inputs) as stage:
        with TrainingShown(stage) as shown:
            model = train_instructions(*inputs, stage.out_dir, callbacks=[shown])
        stage.record.log_figure(loss_figure(shown.records), "loss")
        _log_parquet(stage, model, "answers")
        stage.record.log_model(model, f"{flow.name}-instructions")
        return stage.done(model)


def _log_parquet(stage: Stage, checkpoint: Artifact, name: str) -> None:
    """Record a table of the test part where MLflow shows it."""
    frame = pd.read_parquet(checkpoint.directory / f"{name}.parquet")
    rows = [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    stage.record.log_table(rows, name)
