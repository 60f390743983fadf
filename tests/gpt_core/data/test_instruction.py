"""Instructions are read, split without leakage and encoded with the prompt masked."""

import json
import re
from pathlib import Path

import pytest

from gpt_core.data import (
    ALPACA,
    IGNORED,
    InstructionExample,
    collate,
    encode_example,
    read_instructions,
    split_instructions,
)
from gpt_core.errors import DataError
from gpt_core.tokenizers import ByteTokenizer


def test_1100_instructions_are_split_without_leakage(shared_data: Path) -> None:
    examples = read_instructions(shared_data / "instruct" / "instruction-data.json")
    assert len(examples) == 1100
    assert sum(bool(e.input) for e in examples) == 325
    parts = split_instructions(examples, 0.05, 0.1, seed=1)
    keys = [
        {(e.instruction, e.input) for e in p} for p in (parts.train, parts.validation, parts.test)
    ]
    assert not keys[0] & keys[2]
    assert not keys[0] & keys[1]
    assert sum(map(len, (parts.train, parts.validation, parts.test))) == 1100


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order mark"])
def test_json_lines_may_hold_line_separators_and_a_byte_order_mark(
    tmp_path: Path, mark: str
) -> None:
    rows = [{"instruction": f"q{i}", "input": "a\u2028b\u0085c", "output": "x"} for i in range(20)]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "i.jsonl").write_text(mark + lines, encoding="utf-8")
    assert read_instructions(tmp_path / "i.jsonl") == [InstructionExample(**row) for row in rows]
    array = json.dumps(rows, ensure_ascii=False)
    (tmp_path / "i.json").write_text(mark + array, encoding="utf-8")
    assert read_instructions(tmp_path / "i.json") == [InstructionExample(**row) for row in rows]


def test_unreadable_json_lines_name_their_line(tmp_path: Path) -> None:
    good = '{"instruction": "a", "output": "b"}\n'
    (tmp_path / "i.jsonl").write_text(good + "\n{")
    with pytest.raises(DataError, match=r"i.jsonl, line 3: not valid JSON"):
        read_instructions(tmp_path / "i.jsonl")
    (tmp_path / "i.jsonl").write_text(good + '\n{"instruction": "a"}')
    with pytest.raises(DataError, match=r"i.jsonl, line 3: no text under 'output'; it has instr"):
        read_instructions(tmp_path / "i.jsonl")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[{"instruction": "a"}]', "entry 0: no text under 'output'; it has instruction"),
        ('[{"instruction": "a", "output": 3}]', "entry 0: no text under 'output'"),
        ("[3]", "entry 0: no text under 'instruction'; it has int"),
        ("[]", "holds no instruction"),
    ],
)
def test_unusable_instructions_raise_a_one_line_error(
    tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / "i.json").write_text(content)
    with pytest.raises(DataError, match=re.escape(sentence)):
        read_instructions(tmp_path / "i.json")


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


def test_targets_of_the_prompt_are_ignored() -> None:
    tokenizer = ByteTokenizer()
    example = InstructionExample("Say it.", "hello", "HELLO")
    token_ids, targets = encode_example(example, tokenizer, ALPACA)
    learned = [target for target in targets if target != IGNORED]
    assert learned == [*b"HELLO", tokenizer.eos_id]
    assert tokenizer.decode(token_ids) == ALPACA.format("Say it.", "hello") + "HELLO"
    assert len(token_ids) == len(targets)
    _, everything = encode_example(example, tokenizer, ALPACA, mask_prompt=False)
    assert everything[:-1] == token_ids[1:]
    short = encode_example(example, tokenizer, ALPACA, max_tokens=10)
    assert [len(part) for part in short] == [10, 10]


def test_a_batch_is_padded_to_its_longest_row() -> None:
    batch = collate([([1, 2, 3], [IGNORED, 3, 4]), ([5], [6])], pad_id=0)
    assert batch.token_ids.tolist() == [[1, 2, 3], [5, 0, 0]]
    assert batch.targets.tolist() == [[IGNORED, 3, 4], [6, IGNORED, IGNORED]]
