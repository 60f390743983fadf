"""Examples are balanced and split without leakage."""

from pathlib import Path

import pytest

from gpt_core.errors import DataError
from gpt_core.text import (
    Example,
    InstructionExample,
    balance,
    read_instructions,
    split_examples,
    split_instructions,
)


def test_equal_texts_are_in_one_split() -> None:
    examples = [
        Example(f"text {i % 40}", "ab"[i // 40 % 2 if i % 3 else i % 2]) for i in range(200)
    ]
    parts = split_examples(examples, 0.2, 0.2, seed=5)
    texts = [{e.text for e in part} for part in (parts.train, parts.validation, parts.test)]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]
    assert len(parts.train) + len(parts.validation) + len(parts.test) == 200
    assert {e.label for e in parts.test} == {"a", "b"}


def test_a_split_without_a_label_is_refused() -> None:
    examples = [Example(str(i), "a") for i in range(30)] + [Example("x", "b")]
    with pytest.raises(DataError, match="part has no example of 'b', of which there are 1"):
        split_examples(examples, 0.2, 0.2, seed=1)


def test_balancing_keeps_the_order_and_does_not_depend_on_the_first_label() -> None:
    of_a = [Example(f"a{i}", "a") for i in range(9)]
    of_b = [Example(f"b{i}", "b") for i in range(30)]
    one, other = balance(of_a + of_b, seed=4), balance(of_b + of_a, seed=4)
    assert one[:9] == other[9:] == of_a
    assert one[9:] == other[:9] == [example for example in of_b if example in one]


def test_1100_instructions_are_split_without_leakage(shared_data: Path) -> None:
    examples = read_instructions(shared_data / "instruct" / "instruction-data.json").rows
    assert len(examples) == 1100
    assert sum(bool(e.input) for e in examples) == 325
    parts = split_instructions(examples, 0.05, 0.1, seed=1)
    keys = [
        {(e.instruction, e.input) for e in p} for p in (parts.train, parts.validation, parts.test)
    ]
    assert not keys[0] & keys[2]
    assert not keys[0] & keys[1]
    assert sum(map(len, (parts.train, parts.validation, parts.test))) == 1100


def test_too_few_instructions_for_a_split_are_refused() -> None:
    with pytest.raises(DataError, match="leave none for the validation part"):
        split_instructions([InstructionExample("a", "", "b")] * 3, 0.1, 0.1, seed=1)


def test_the_splits_are_disjoint_and_complete() -> None:
    examples = [InstructionExample(f"q{i % 60}", f"{i % 2}", f"a{i}") for i in range(180)]
    parts = split_instructions(examples, 0.2, 0.3, seed=2)
    keys = [
        {(e.instruction, e.input) for e in part}
        for part in (parts.train, parts.validation, parts.test)
    ]
    assert [len(each) for each in keys] == [30, 12, 18]
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]
    assert not keys[1] & keys[2]
    together = [*parts.train, *parts.validation, *parts.test]
    assert sorted(together, key=str) == sorted(examples, key=str)
    assert parts == split_instructions(examples, 0.2, 0.3, seed=2)
    assert parts != split_instructions(examples, 0.2, 0.3, seed=3)


def test_equal_instructions_with_different_inputs_may_be_divided() -> None:
    examples = [InstructionExample("Shout.", f"word {i}", f"WORD {i}") for i in range(20)]
    parts = split_instructions(examples, 0.1, 0.2, seed=2)
    assert [len(each) for each in (parts.train, parts.validation, parts.test)] == [14, 2, 4]
