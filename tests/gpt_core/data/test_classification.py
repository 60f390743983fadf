"""Labelled texts are read, balanced, split without leakage and padded."""

import json
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpt_core.data import Example, balance, encode_texts, pad, read_examples, split_examples
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


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("label,text\nham,abc\n\nspam,hello\n\n", ["abc", "hello"]),
        ("label,text\nham," + "x " * 100_000 + "\nspam,b\n", ["x " * 100_000, "b"]),
    ],
    ids=["blank lines", "long field"],
)
def test_blank_lines_and_long_fields_of_a_csv_are_read(
    tmp_path: Path, content: str, texts: list[str]
) -> None:
    (tmp_path / "e.csv").write_text(content)
    examples = read_examples(tmp_path / "e.csv")
    assert examples == [Example(texts[0], "ham"), Example(texts[1], "spam")]


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "ndjson", "parquet", "tsv", "txt"])
def test_every_format_gives_the_same_examples(tmp_path: Path, form: str) -> None:
    rows = [{"label": "a", "text": 'say "x", y'}, {"label": "b", "text": "z"}]
    file = tmp_path / f"e.{form}"
    if form == "csv":
        file.write_text('label,text\na,"say ""x"", y"\nb,z\n')
    elif form == "json":
        file.write_text(json.dumps(rows))
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif form in ("tsv", "txt"):
        file.write_text('a\tsay "x", y\nb\tz\n')
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    assert read_examples(file) == [Example(r["text"], r["label"]) for r in rows]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("e.csv", "kind,text\na,b\n", "has no column 'label'; it has kind, text"),
        ("e.csv", "label,text\na\n", "e.csv, line 2: 1 fields, the header has 2"),
        ("e.tsv", "label\ttext\na\tx\na\ty\n", "has only the label 'a'"),
        ("e.tsv", "", "has no column 'text'; it has none"),
        ("e.tsv", "label\ttext\n", "has no example: a classifier needs at least two labels"),
        ("e.tsv", "a\tb\tc\n", "has no column 'text'"),
        ("e.jsonl", '{"label": "a"}\n', "e.jsonl, line 1 has no 'text'; it has label"),
        ("e.jsonl", "3\n", "e.jsonl, line 1 has no 'text'; it has int"),
        ("e.json", '[{"text": "a"}]', "e.json, entry 0 has no 'label'; it has text"),
        ("e.csv", 'label,text\nham,"abc\nspam,hello\n', "e.csv, line 2: not a valid table"),
        ("e.parquet", "not parquet", "e.parquet is not an intact Parquet file"),
        ("e.jsonl", "{\n", "line 1: not valid JSON"),
        ("e.json", "{}", "must hold a JSON array"),
    ],
)
def test_unusable_examples_raise_a_one_line_error(
    tmp_path: Path, name: str, content: str, sentence: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=re.escape(sentence)):
        read_examples(tmp_path / name)


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


def test_rows_are_padded_at_the_end() -> None:
    rows = encode_texts(["abc", "", "abcdef"], ByteTokenizer(), max_tokens=4)
    token_ids, lengths = pad(rows, pad_id=9)
    assert token_ids.tolist() == [[97, 98, 99, 9], [256, 9, 9, 9], [97, 98, 99, 100]]
    assert lengths.tolist() == [3, 1, 4]


def test_numeric_labels_become_text(tmp_path: Path) -> None:
    table = pa.table({"kind": [0, 1], "body": ["a", "b"]})
    pq.write_table(table, tmp_path / "e.parquet")
    examples = read_examples(tmp_path / "e.parquet", "body", "kind")
    assert examples == [Example("a", "0"), Example("b", "1")]


def test_balancing_keeps_the_order_and_does_not_depend_on_the_first_label() -> None:
    of_a = [Example(f"a{i}", "a") for i in range(9)]
    of_b = [Example(f"b{i}", "b") for i in range(30)]
    one, other = balance(of_a + of_b, seed=4), balance(of_b + of_a, seed=4)
    assert one[:9] == other[9:] == of_a
    assert one[9:] == other[:9] == [example for example in of_b if example in one]
