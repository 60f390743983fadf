"""A form has only some of the sections, with the defaults, checks and descriptions of all."""

import pytest
from pydantic import TypeAdapter, ValidationError

from flows.forms import form_class, to_config, to_form
from gpt_core.artifact import to_json_value
from gpt_core.config import load_config

SECTIONS = ("classification", "lora", "checkpoint")


def test_a_form_has_the_name_and_the_sections_in_their_order() -> None:
    schema = TypeAdapter(form_class(SECTIONS)).json_schema()
    assert list(schema["properties"]) == ["name", *SECTIONS]
    assert schema["properties"]["checkpoint"]["description"].startswith("The model that is")
    assert schema["properties"]["checkpoint"]["default"] is None
    rank = schema["$defs"]["LoRAConfig"]["properties"]["rank"]
    assert rank["description"].startswith("Rank of the update")


def test_a_form_refuses_a_section_that_it_does_not_have() -> None:
    adapter = TypeAdapter(form_class(SECTIONS))
    assert adapter.validate_python({"name": "mine", "lora": {"rank": 4}}).name == "mine"
    for wrong in ({"training": {}}, {"lora": {"ranks": 4}}):
        with pytest.raises(ValidationError, match="Unexpected keyword argument"):
            adapter.validate_python(wrong)


def test_a_configuration_survives_its_form() -> None:
    config = load_config("tiny", settings=["lora.rank=4", "checkpoint=here", "training.steps=40"])
    form = to_form(config, SECTIONS)
    recorded = to_json_value(form)
    assert isinstance(recorded, dict)
    assert list(recorded) == ["name", *SECTIONS]
    completed = to_config(form)
    assert (completed.lora, completed.checkpoint) == (config.lora, "here")
    assert (
        completed.training == load_config("shakespeare-char").training or completed.name == "tiny"
    )
