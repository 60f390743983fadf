"""Flows are declared once; a declaration that does not fit its function is an error at import."""

from dataclasses import replace

import pytest

from flows.declarations import FLOWS, Flow, FlowFunction, index_by_name
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig, load_config
from gpt_core.errors import ConfigError
from tasks.reads import Given, Release, Source


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_has_one_name_and_declares_what_it_reads(name: str) -> None:
    function = FLOWS[name].function()
    assert function.__module__ == f"flows.commands.{name.replace('-', '_')}"
    assert function.__name__ == name.replace("-", "_")
    assert function.__doc__


def classify(config: RunConfig) -> Artifact:
    raise NotImplementedError(config.lora, config.benchmarks)


def load_classify() -> FlowFunction:
    return classify


def test_a_section_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="flow classify: RunConfig has no lorra"):
        replace(FLOWS["classify"], sections=("classification", "lorra"))


def test_a_section_that_is_read_but_not_declared_is_an_error() -> None:
    flow = replace(
        FLOWS["classify"], load=load_classify, sections=("lora",), makes_checkpoint=False
    )
    with pytest.raises(ValueError, match="flow classify reads or declares benchmarks, but not"):
        flow.function()


def test_a_section_that_is_declared_but_not_read_is_an_error() -> None:
    sections = ("lora", "benchmarks", "source")
    flow = replace(FLOWS["classify"], load=load_classify, sections=sections, makes_checkpoint=False)
    with pytest.raises(ValueError, match="reads or declares source, but not both"):
        flow.function()


def test_a_function_of_another_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="flow release has a function named classify"):
        replace(FLOWS["release"], load=load_classify).function()


@pytest.mark.parametrize("part", ["name", "help", "load", "reads", "sections"])
def test_a_missing_part_is_an_error(part: str) -> None:
    flow = FLOWS["prepare"]
    parts = {
        "name": flow.name, "help": flow.help, "load": flow.load, "reads": flow.reads,
        "sections": flow.sections,
    }  # fmt: skip
    del parts[part]
    with pytest.raises(TypeError, match=part):
        Flow(**parts)  # type: ignore[arg-type]


EVERYWHERE = ("limits", "notify", "tracking", "store", "plan", "registry")


def test_only_the_sections_that_are_used_are_recorded() -> None:
    flow = FLOWS["classify"]
    given = load_config(settings=["checkpoint=somewhere"])
    assert flow.sections_used(given) == ("checkpoint", "classification", "lora", *EVERYWHERE)
    released = load_config(settings=["checkpoint=gpt2"])
    assert flow.sections_used(released) == (
        "checkpoint", "classification", "lora", "gpt2", *EVERYWHERE
    )  # fmt: skip
    missing = flow.sections_used(load_config())
    assert {"source", "tokenizer", "model", "training", "launch"} < set(missing)
    assert "gpt2" not in missing


def test_a_flow_says_where_its_run_comes_from() -> None:
    given = RunConfig(checkpoint="DIR", source="book.txt")
    named = {name: FLOWS[name].origin(given) for name in ("classify", "release", "predict", "run")}
    assert named == {
        "classify": "DIR", "release": "DIR", "predict": "book.txt", "run": "book.txt"
    }  # fmt: skip
    assert FLOWS["classify"].origin(RunConfig(source="book.txt")) == "book.txt"


def test_a_form_shows_the_common_sections_first_and_none_that_the_flow_does_not_read() -> None:
    shown = FLOWS["classify"].form_sections
    assert shown[:3] == ("source", "checkpoint", "classification")
    assert not {"instruction", "evaluation", "comparison", "benchmarks"} & set(shown)
    assert "checkpoint" not in FLOWS["pretrain"].form_sections
    assert "registry" not in FLOWS["prepare"].form_sections, "it makes no model"


@pytest.mark.parametrize(
    ("name", "settings", "reads"),
    [
        ("prepare", [], [Source("samples")]),
        ("run", [], [Source("samples"), Source("samples", "classification"),
                     Source("samples", "instruction")]),
        ("classify", ["checkpoint=gpt2"], [Release(), Source("samples", "classification")]),
        ("instruct", ["checkpoint=m"],
         [Given("m", "checkpoint"), Source("samples", "instruction")]),
        ("evaluate", ["checkpoint=m"], [Given("m", "checkpoint"), Source("samples")]),
        ("release", ["checkpoint=m"], [Given("m", "checkpoint")]),
        ("import-gpt2", [], [Release()]),
        ("compare-tokenizers", ['comparison.tokenizers=["byte", "./t"]'],
         [Given("t", "tokenizer"), Source("samples")]),
        ("compare-models", ['benchmarks.checkpoints=["gpt2", "m"]', "benchmarks.lambada=l"],
         [Release(), Given("m", "checkpoint"), Source("l", "lambada")]),
    ],
)  # fmt: skip
def test_a_flow_reads_what_its_settings_name(
    name: str, settings: list[str], reads: list[object]
) -> None:
    assert FLOWS[name].all_reads(load_config(settings=settings)) == reads


def test_a_comparison_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"benchmarks\.checkpoints must name at least one"):
        FLOWS["compare-models"].all_reads(load_config())


def test_a_flow_module_without_a_declaration_is_an_error() -> None:
    declared = [flow for flow in FLOWS.values() if flow.name != "import-gpt2"]
    with pytest.raises(ValueError, match=r"flows\.declarations differ in import-gpt2"):
        index_by_name(*declared)


def test_a_declaration_without_a_module_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"flows\.declarations differ in mine"):
        index_by_name(*FLOWS.values(), replace(FLOWS["run"], name="mine"))
