"""A form has only some of the sections, with the defaults, checks and descriptions of all."""

from dataclasses import replace

import pytest
from pydantic import TypeAdapter, ValidationError

from flows.declarations import FIRST, FLOWS
from flows.forms import form_class, resolve, to_config, to_form
from gpt_core.artifact import to_json_value
from gpt_core.config import RunConfig, load_config
from gpt_core.errors import ConfigError

SECTIONS = ("classification", "lora", "checkpoint")


def test_a_form_has_the_name_and_the_sections_in_their_order() -> None:
    schema = TypeAdapter(form_class(SECTIONS)).json_schema()
    assert list(schema["properties"]) == ["name", *SECTIONS]
    assert schema["properties"]["checkpoint"]["description"].startswith("The model that is")
    assert schema["required"] == list(SECTIONS), "or a default would replace the deployment's"
    rank = schema["$defs"]["LoRAConfig"]["properties"]["rank"]
    assert rank["description"].startswith("Rank of the update")


def test_a_form_shows_choices_and_the_ranges_that_the_classes_check() -> None:
    shown = TypeAdapter(form_class(("training", "optimizer", "tokenizer"))).json_schema()["$defs"]
    assert shown["TrainingConfig"]["properties"]["steps"]["minimum"] == 1
    patience = shown["TrainingConfig"]["properties"]["patience"]
    assert patience["anyOf"] == [{"type": "integer", "minimum": 1}, {"type": "null"}]
    rate = shown["OptimizerConfig"]["properties"]["learning_rate"]
    assert rate["exclusiveMinimum"] == 0
    beta = shown["OptimizerConfig"]["properties"]["beta1"]
    assert (beta["minimum"], beta["exclusiveMaximum"]) == (0, 1)
    assert "unigram" in shown["TokenizerConfig"]["properties"]["kind"]["enum"]


@pytest.mark.parametrize("name", FLOWS)
def test_a_form_begins_with_the_settings_that_are_changed_most(name: str) -> None:
    sections = FLOWS[name].form_sections
    common = [section for section in FIRST if section in sections]
    assert list(sections[: len(common)]) == common
    assert common, "each flow has some"


def test_a_form_refuses_a_section_that_it_does_not_have() -> None:
    adapter = TypeAdapter(form_class(SECTIONS))
    complete = {"name": "mine", "classification": {}, "lora": {"rank": 4}, "checkpoint": None}
    assert adapter.validate_python(complete).name == "mine"
    for wrong in ({"training": {}}, {"lora": {"ranks": 4}}):
        with pytest.raises(ValidationError, match="Unexpected keyword argument"):
            adapter.validate_python({**complete, **wrong})


@pytest.mark.parametrize("section", SECTIONS)
def test_a_form_refuses_to_lack_a_section(section: str) -> None:
    complete = {"classification": {}, "lora": {}, "checkpoint": None}
    partial = {name: value for name, value in complete.items() if name != section}
    with pytest.raises(ValidationError, match=f"{section}\n  Field required"):
        TypeAdapter(form_class(SECTIONS)).validate_python(partial)


def test_a_run_changes_settings_of_its_deployment() -> None:
    config = load_config("tiny", settings=["training.steps=70", "source=mine.txt"])
    changed = resolve(config, settings=["training.micro_batch=4"])
    assert (changed.training.steps, changed.training.micro_batch) == (70, 4)
    assert replace(changed, training=config.training) == config
    assert resolve(config, settings={"training": {"micro_batch": 4}}) == changed
    assert resolve(config) == config


def test_a_run_can_begin_from_another_preset() -> None:
    config = load_config("tiny", settings=["training.steps=70"])
    assert resolve(config, "hadith", ["loader.seed=3"]) == load_config(
        "hadith", settings=["loader.seed=3"]
    )


def test_a_wrong_setting_of_a_run_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"there is no setting training\.step; did you mean"):
        resolve(RunConfig(), settings=["training.step=3"])


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
