"""A logged checkpoint as MLflow's ``python_function``: MLflow executes a copy of this file.

The copy is ``gpt_model.py`` in the model's files, which are those of the checkpoint. It needs
MLflow and the core: the installed one, and only without one the copy in ``gpt_core.zip``, so that
an old model never takes the place of the code of the process that loads it.
"""

import importlib.util
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

if TYPE_CHECKING:
    from gpt_core.config import DecodingConfig
    from gpt_core.prediction import TextClassifier, TextGenerator

CHECKPOINT = "checkpoint"
"""The name of the checkpoint's directory among the model's artifacts."""

CODE = "gpt_core.zip"
"""The core's code in the model's files, see ``tasks.tracking.python_function``."""

PARAMS = ("max_tokens", "temperature", "top_k", "top_p", "seed")
"""The parameters of ``predict`` of a model that writes; a classifier has none."""


class CheckpointModel(PythonModel):
    """A classifier, a language model or a follower; threads may share it."""

    _classifier: "TextClassifier | None" = None
    _generator: "TextGenerator | None" = None

    def load_context(self, context: PythonModelContext) -> None:
        """Load the checkpoint.

        Args:
            context: MLflow's, with the checkpoint's directory.
        """
        directory = Path(context.artifacts[CHECKPOINT])
        if importlib.util.find_spec("gpt_core") is None:
            sys.path.append(str((directory / CODE).resolve()))
        from gpt_core.checkpoints import read_description
        from gpt_core.prediction import TextClassifier, TextGenerator

        if read_description(directory).kind == "classifier":
            self._classifier = TextClassifier(directory)
        else:
            self._generator = TextGenerator(directory)

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: Mapping[str, object] | None = None,
    ) -> pd.DataFrame | list[str]:
        """Predict texts.

        Args:
            context: Not used.
            model_input: A DataFrame, or a list of texts or of dictionaries. A classifier reads the
                column ``text``, a language model ``prompt``, a follower ``instruction`` and perhaps
                ``input``; a list has the first of them.
            params: Of a model that writes: some of ``PARAMS``.

        Returns:
            Of a classifier a DataFrame with ``predicted``, ``probability`` and the probability of
            each label; of other models the texts that they wrote.

        Raises:
            MlflowException: If a column is missing, a text is blank or too long, or a parameter is
                unknown or out of range.
        """
        from gpt_core.errors import GPTCoreError

        try:
            if self._classifier is not None:
                return _classify(self._classifier, model_input, params or {})
            assert self._generator is not None
            return _write(self._generator, model_input, params or {})
        except (GPTCoreError, ValueError) as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None


def _classify(
    classifier: "TextClassifier", model_input: object, params: Mapping[str, object]
) -> pd.DataFrame:
    from gpt_core.prediction import probability_of

    if params:
        raise ValueError(f"a classifier has no parameter {', '.join(params)}")
    found = classifier.classify(_column(model_input, "text"))
    best = found.probabilities.argmax(axis=1)
    columns = {
        "predicted": [classifier.labels[index] for index in best],
        "probability": found.probabilities.max(axis=1),
    }
    own = {probability_of(n): found.probabilities[:, i] for i, n in enumerate(classifier.labels)}
    return pd.DataFrame({**columns, **own})


def _write(
    generator: "TextGenerator", model_input: object, params: Mapping[str, object]
) -> list[str]:
    from gpt_core.prediction import Prompt

    decoding = to_decoding(params)
    name = "instruction" if generator.follows_instructions else "prompt"
    texts = _column(model_input, name)
    contexts = [""] * len(texts)
    if generator.follows_instructions and "input" in _frame(model_input):
        contexts = ["" if pd.isna(each) else str(each) for each in _frame(model_input)["input"]]
    seeds = range(decoding.seed, decoding.seed + len(texts))
    prompts = [Prompt(*each) for each in zip(texts, contexts, seeds, strict=True)]
    found = generator.complete(prompts, decoding)
    for number, each in enumerate(found):
        if each.problem is not None:
            raise ValueError(f"row {number}: {each.problem}")
    return [each.text for each in found]


def to_decoding(params: Mapping[str, object]) -> "DecodingConfig":
    """The settings of decoding that the parameters of a request mean.

    Args:
        params: By name; what is not given has its default. ``top_k`` and ``top_p`` may be None.

    Raises:
        ValueError: Naming the parameter that is unknown or out of range.
    """
    from gpt_core.config import DecodingConfig
    from gpt_core.errors import ConfigError

    unknown = [name for name in params if name not in PARAMS]
    if unknown:
        raise ValueError(f"there is no parameter {unknown[0]!r:.80}: there are {', '.join(PARAMS)}")
    given = {name: value for name, value in params.items() if value is not None}
    if "max_tokens" in given:
        given["max_new_tokens"] = given.pop("max_tokens")
    try:
        return DecodingConfig(**given)  # type: ignore[arg-type]  # MLflow has checked the types
    except (ConfigError, TypeError) as error:
        raise ValueError(str(error).replace("max_new_tokens", "max_tokens")) from None


def _column(model_input: object, name: str) -> list[str]:
    """The texts of an input.

    Raises:
        ValueError: If there is no such column, or naming the row whose text is none or blank.
    """
    frame = _frame(model_input)
    only = str(frame.columns[0]) if len(frame.columns) == 1 else ""
    if name not in frame and only != "0":
        found = ", ".join(map(repr, map(str, frame.columns)))
        raise ValueError(
            f"the input must have the texts in a column {name!r}, or be a list of texts; it has "
            f"{found:.200}; MLflow passes on only the first column of a DataFrame: give "
            f"frame[[{name!r}]]"
        )
    texts = frame[name].tolist() if name in frame else frame.iloc[:, 0].tolist()
    for number, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"row {number}: {name!r} must be a text that is not blank")
    return texts


def _frame(model_input: object) -> pd.DataFrame:
    """An input as a table; of a list of texts with the column 0."""
    if isinstance(model_input, pd.DataFrame):
        return model_input
    if isinstance(model_input, str | Mapping):
        return pd.DataFrame([model_input])
    if not isinstance(model_input, Iterable):
        raise ValueError(
            f"the input must be a DataFrame or a list of texts, got {model_input!r:.80}"
        )
    return pd.DataFrame(list(model_input))


if not __name__.startswith("tasks."):  # MLflow executes a copy under a name of its own
    mlflow.models.set_model(CheckpointModel())
