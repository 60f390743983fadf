"""The rows of a file to a model's predictions."""

from dataclasses import replace

from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages
from tasks.planning import PendingArtifact
from tasks.predictions import copy_predictions
from tasks.reads import Given, find_given_adapter


def predict(config: RunConfig) -> Artifact:
    """Predict the rows of a file with a checkpoint or a registered model."""
    checkpoint = Given(str(config.checkpoint), "checkpoint").read()
    source = stages.fetch_corpus(config.source, "prediction")
    adapter, recorded = find_given_adapter(config.predict)
    alone = replace(config.predict, out=None, adapter=None)  # no place changes a prediction
    report = stages.predict_file(checkpoint, source, alone, config.generation, adapter, recorded)
    if config.predict.out is not None and not isinstance(report, PendingArtifact):
        copy_predictions(report, config.predict.out)
    return report
