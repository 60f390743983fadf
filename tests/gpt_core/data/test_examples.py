"""Labelled texts and instructions: read exactly, split without leaks, encoded for the loss."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from gpt_core.data import (
    ALPACA,
    IGNORED,
    Example,
    InstructionExample,
    balance,
    collate,
    encode_example,
    encode_texts,
    pad,
    read_examples,
    read_instructions,
    split_examples,
    split_instructions,
)
from gpt_core.errors import DataError
from gpt_core.tokenizers import ByteTokenizer


def test_the_sms_collection_is_read_line_by_line(shared_data: Path) -> None:
    examples = read_examples(shared_data / "sms_spam" / "SMSSpamCollection.tsv")
    assert Counter(e.label for e in examples) == {"ham": 4827, "spam": 747}
    balanced = balance(examples, seed=1)
    assert Counter(e.label for e in balanced) == {"ham": 747, "spam": 747}
    assert balanced == balance(examples, seed=1) != balance(examples, seed=2)


def test_sst2_is_read_by_its_header(shared_data: Path) -> None:
    folder = shared_data / "sentiment"
    train = read_examples(folder / "sst2_glue_train.tsv", "sentence", "label")
    assert Counter(e.label for e in train) == {"1": 37_569, "0": 29_780}
    assert not any(e.text.endswith("\r") for e in train)


@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
def test_every_form_gives_the_same_examples(tmp_path: Path, form: str) -> None:
    rows = [{"label": "a", "text": 'say "x", y'}, {"label": "b", "text": "z"}]
    file = tmp_path / f"e.{form}"
    if form == "csv":
        file.write_text('label,text\na,"say ""x"", y"\nb,z\n')
    elif form == "json":
        file.write_text(json.dumps(rows))
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    assert read_examples(file) == [Example(r["text"], r["label"]) for r in rows]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("e.csv", "kind,text\na,b\n", "has no column 'label'; it has kind, text"),
        ("e.csv", "label,text\na\n", "row 1: 1 fields where 2 belong"),
        ("e.tsv", "label\ttext\na\tx\na\ty\n", "has only the label 'a'"),
        ("e.tsv", "", "is empty: it should hold a table"),
        ("e.tsv", "a\tb\tc\n", "has no column 'text'"),
        ("e.jsonl", '{"label": "a"}\n', "row 1 has no 'text'; it has label"),
        ("e.jsonl", "{\n", "line 1: not valid JSON"),
        ("e.json", "{}", "must hold a JSON array"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, name: str, content: str, sentence: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=re.escape(sentence)):
        read_examples(tmp_path / name)


def test_equal_texts_never_stand_in_two_parts() -> None:
    examples = [Example(f"text {i % 40}", "ab"[i % 2]) for i in range(200)]
    parts = split_examples(examples, 0.2, 0.2, seed=5)
    texts = [{e.text for e in part} for part in (parts.train, parts.validation, parts.test)]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]
    assert len(parts.train) + len(parts.validation) + len(parts.test) == 200
    assert {e.label for e in parts.test} == {"a", "b"}


def test_a_part_without_a_label_is_refused() -> None:
    examples = [Example(str(i), "a") for i in range(30)] + [Example("x", "b")]
    with pytest.raises(DataError, match="part has no example of 'b', of which there are 1"):
        split_examples(examples, 0.2, 0.2, seed=1)


def test_rows_are_filled_up_at_the_end() -> None:
    rows = encode_texts(["abc", "", "abcdef"], ByteTokenizer(), max_tokens=4)
    token_ids, lengths = pad(rows, pad_id=9)
    assert token_ids.tolist() == [[97, 98, 99, 9], [256, 9, 9, 9], [97, 98, 99, 100]]
    assert lengths.tolist() == [3, 1, 4]


def test_the_1100_instructions_are_read_and_split_without_leaks(shared_data: Path) -> None:
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


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[{"instruction": "a"}]', "entry 0: no text under 'output'; it has instruction"),
        ('[{"instruction": "a", "output": 3}]', "entry 0: no text under 'output'"),
        ("[3]", "entry 0: no text under 'instruction'; it has int"),
        ("[]", "holds no instruction"),
    ],
)
def test_instructions_that_cannot_be_used_are_one_sentence(
    tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / "i.json").write_text(content)
    with pytest.raises(DataError, match=re.escape(sentence)):
        read_instructions(tmp_path / "i.json")


def test_too_few_instructions_for_a_part_are_refused() -> None:
    with pytest.raises(DataError, match="leave none for the validation part"):
        split_instructions([InstructionExample("a", "", "b")] * 3, 0.1, 0.1, seed=1)


def test_only_the_answer_and_its_end_are_learned() -> None:
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


def test_a_batch_is_as_wide_as_its_longest_row() -> None:
    batch = collate([([1, 2, 3], [IGNORED, 3, 4]), ([5], [6])], pad_id=0)
    assert batch.token_ids.tolist() == [[1, 2, 3], [5, 0, 0]]
    assert batch.targets.tolist() == [[IGNORED, 3, 4], [6, IGNORED, IGNORED]]


def test_the_wording_without_an_input_does_not_mention_one() -> None:
    assert "### Input:" in ALPACA.format("Do it.", "x")
    assert "### Input:" not in ALPACA.format("Do it.", "  ")
