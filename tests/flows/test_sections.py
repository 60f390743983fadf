"""The sections that a flow reads are found in its code and in that of what it calls."""

from flows.commands.compare_tokenizers import compare_tokenizers
from flows.commands.pretrain import pretrain
from flows.sections import sections_read
from gpt_core.config import RunConfig


def reads_nothing(config: RunConfig) -> int:
    return len(config.name)


def reads_in_a_comprehension(config: RunConfig) -> list[int]:
    return [config.lora.rank for _ in range(2)]


def test_sections_are_found_in_comprehensions() -> None:
    assert sections_read(reads_in_a_comprehension) == {"lora"}
    assert sections_read(reads_nothing) == {"name"}


def test_sections_are_found_in_the_flows_that_a_flow_calls() -> None:
    found = sections_read(compare_tokenizers)
    assert found == {"source", "reading", "cleaning", "engine", "tokenizer", "comparison"}


def test_sections_are_found_behind_a_property_of_the_configuration() -> None:
    assert {"model", "loader", "optimizer", "schedule", "training", "generation"} <= sections_read(
        pretrain
    )
