"""Predictions: the rows of a file, or texts, through a classifier or a language model."""

from gpt_core.prediction.classifying import Classified, TextClassifier
from gpt_core.prediction.files import PREDICTIONS_CSV, PREDICTIONS_PARQUET
from gpt_core.prediction.generating import Completion, Prompt, TextGenerator
from gpt_core.prediction.prediction import (
    find_columns,
    find_columns_of,
    iter_predictions,
    predict,
    predict_file,
)
from gpt_core.prediction.tables import probability_of

__all__ = [
    "PREDICTIONS_CSV",
    "PREDICTIONS_PARQUET",
    "Classified",
    "Completion",
    "Prompt",
    "TextClassifier",
    "TextGenerator",
    "find_columns",
    "find_columns_of",
    "iter_predictions",
    "predict",
    "predict_file",
    "probability_of",
]
