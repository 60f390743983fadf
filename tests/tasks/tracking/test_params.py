"""Settings become MLflow parameters without secrets, whatever their nesting and length."""

import pytest

from gpt_core.artifact import to_json_value
from gpt_core.config import load_config
from tasks.tracking.params import flatten, plain_name, shorten


@pytest.mark.parametrize(
    "name", ["password", "api_key", "apikey", "hub.access_token", "secrets", "db-credential"]
)
def test_secrets_are_not_recorded(name: str) -> None:
    flat = flatten({"hub": {name: "canary", "size": 2}})
    assert "canary" not in flat.values()
    assert flat["hub.size"] == "2"


def test_every_setting_of_a_run_is_recorded_with_its_section() -> None:
    tree = to_json_value(load_config("tiny"))
    assert isinstance(tree, dict)
    flat = flatten(tree)
    assert flat["training.steps"] == "300"
    assert flat["checkpoint"] == "null"
    assert "(not recorded)" not in flat.values(), "no setting's name looks like a secret"


def test_tokens_in_a_name_are_no_secret() -> None:
    assert flatten({"max_new_tokens": 3, "tokens_per_step": 4}) == {
        "max_new_tokens": "3",
        "tokens_per_step": "4",
    }


def test_names_and_values_are_what_mlflow_takes() -> None:
    assert plain_name("a=b?c/d.e") == "a_b_c/d.e"
    assert len(shorten("é" * 501)) == 500
    assert shorten("é" * 500) == "é" * 500
