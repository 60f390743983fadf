"""The code of a logged checkpoint that MLflow executes: every input, and mistakes as sentences."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModelContext
from models import byte_classifier, byte_model

from gpt_core.config import DecodingConfig
from gpt_core.generation import stream_text
from gpt_core.prediction import predict
from tasks.tracking.python_model import CheckpointModel, to_decoding

Predict = Callable[..., Any]
SHORT = {"max_tokens": 7, "seed": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    byte_classifier(folder / "classifier")
    byte_model(folder / "language", 3)
    byte_model(folder / "follower", 4, "short")
    return folder


@pytest.fixture(scope="module")
def load(folder: Path) -> Callable[[str], Predict]:
    def load_model(kind: str) -> Predict:
        context = PythonModelContext({"checkpoint": str(folder / kind)}, None)
        model = CheckpointModel()
        model.load_context(context)
        return lambda data, params=None: model.predict(context, data, params)

    return load_model


def test_a_classifier_gives_the_probabilities_of_a_predicted_file(
    load: Callable[[str], Predict], folder: Path
) -> None:
    classify = load("classifier")
    texts = ["hello there", "buy now " * 20, "x"]
    expected = predict(folder / "classifier", texts)
    inputs = [texts, pd.DataFrame({"text": texts}), np.array(texts), pd.DataFrame(texts)]
    for given in [*inputs, [{"text": text, "id": 1} for text in texts]]:
        found = classify(given)
        assert found["predicted"].tolist() == expected["predicted"].tolist()
        for column in ("probability", "probability_ham", "probability_spam"):
            np.testing.assert_allclose(found[column], expected[column], rtol=1e-5)


def test_models_that_write_continue_and_answer_as_the_command_does(
    load: Callable[[str], Predict], folder: Path
) -> None:
    for number, prompt in enumerate(["Once", "upon"]):
        own = DecodingConfig(max_new_tokens=7, seed=3 + number)
        expected = "".join(stream_text(folder / "language", prompt, own))
        assert load("language")(["Once", "upon"], SHORT)[number] == expected
    answer = load("follower")
    own = DecodingConfig(max_new_tokens=7, seed=3)
    expected = "".join(stream_text(folder / "follower", "Say", own, None, "it"))
    assert answer([{"instruction": "Say", "input": "it"}], SHORT) == [expected]
    assert answer({"instruction": "Say", "input": "it"}, SHORT) == [expected]
    without = "".join(stream_text(folder / "follower", "Say", own))
    assert answer("Say", SHORT) == answer(["Say"], SHORT) == [without]
    assert answer(pd.DataFrame({"instruction": ["Say"], "input": [None]}), SHORT) == [without]


def test_what_cannot_be_predicted_is_one_sentence(load: Callable[[str], Predict]) -> None:
    classify, write = load("classifier"), load("language")
    mistakes = [
        (
            classify,
            pd.DataFrame({"id": ["1"]}),
            {},
            "in a column 'text', or be a.*it has 'id'",
        ),
        (classify, ["a", " "], {}, "row 1: 'text' must be a text that is not blank"),
        (classify, ["a", None], {}, "row 1: 'text' must be"),
        (classify, ["a"], {"seed": 1}, "a classifier has no parameter seed"),
        (classify, 7, {}, "must be a DataFrame or a list of texts, got 7"),
        (
            write,
            ["a"],
            {"temprature": 1.0},
            "there is no parameter 'temprature': there are max",
        ),
        (write, ["a"], {"max_tokens": 0}, "max_tokens must be at least 1, got 0"),
        (write, ["a"], {"top_p": 1.5}, "top_p must be in"),
        (write, ["a", "x" * 200], {}, "row 1: the prompt has 201 tokens, the context of the model"),
    ]
    for model, given, params, message in mistakes:
        with pytest.raises(MlflowException, match=message) as raised:
            model(given, params)
        assert raised.value.error_code == "INVALID_PARAMETER_VALUE"


def test_parameters_have_the_defaults_of_generate() -> None:
    assert to_decoding({}) == DecodingConfig()
    assert to_decoding({"top_k": None, "max_tokens": 3}) == DecodingConfig(max_new_tokens=3)


def test_threads_share_a_model(load: Callable[[str], Predict]) -> None:
    write = load("language")
    prompts = [f"thread {n}" for n in range(8)]
    params = {"max_tokens": 20, "temperature": 0.0}
    alone = [write([prompt], params) for prompt in prompts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda prompt: write([prompt], params), prompts * 3))
    assert together == alone * 3
