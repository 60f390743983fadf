"""Labelled texts and instructions are read; what lacks a value is counted or refused."""

import json
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpt_core.errors import DataError
from gpt_core.text import Example, InstructionExample, balance, read_examples, read_instructions


def test_the_sms_collection_is_read_line_by_line(shared_data: Path) -> None:
    examples = read_examples(shared_data / "sms_spam" / "SMSSpamCollection.tsv").rows
    assert Counter(e.label for e in examples) == {"ham": 4827, "spam": 747}
    balanced = balance(examples, seed=1)
    assert Counter(e.label for e in balanced) == {"ham": 747, "spam": 747}
    assert balanced == balance(examples, seed=1) != balance(examples, seed=2)


def test_sst2_is_read_by_its_header(shared_data: Path) -> None:
    folder = shared_data / "sentiment"
    train = read_examples(folder / "sst2_glue_train.tsv", "sentence", "label").rows
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
    examples = read_examples(tmp_path / "e.csv").rows
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
    assert read_examples(file).rows == [Example(**row) for row in rows]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("e.csv", "kind,text,n\na,b,1\n", "has no column 'label'; it has kind, text, n"),
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


def test_numeric_labels_become_text(tmp_path: Path) -> None:
    table = pa.table({"kind": [0, 1], "body": ["a", "b"]})
    pq.write_table(table, tmp_path / "e.parquet")
    examples = read_examples(tmp_path / "e.parquet", "body", "kind").rows
    assert examples == [Example("a", "0"), Example("b", "1")]


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order mark"])
def test_json_lines_may_hold_line_separators_and_a_byte_order_mark(
    tmp_path: Path, mark: str
) -> None:
    rows = [{"instruction": f"q{i}", "input": "a\u2028b\u0085c", "output": "x"} for i in range(20)]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "i.jsonl").write_text(mark + lines, encoding="utf-8")
    examples = [InstructionExample(**row) for row in rows]
    assert read_instructions(tmp_path / "i.jsonl").rows == examples
    array = json.dumps(rows, ensure_ascii=False)
    (tmp_path / "i.json").write_text(mark + array, encoding="utf-8")
    assert read_instructions(tmp_path / "i.json").rows == examples


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


BLANKS = [None, "", "  ", "\t", "\u00a0", float("nan")]
"""Values of a row without a label or a text."""


def labelled(n: int) -> list[dict[str, object]]:
    return [{"text": f"text {i}", "label": ("ham", "spam")[i % 2]} for i in range(n)]


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "tsv", "parquet"])
@pytest.mark.parametrize("column", ["label", "text"])
def test_rows_without_a_value_are_left_out_with_a_count(
    tmp_path: Path, form: str, column: str
) -> None:
    blanks = BLANKS if form in ("json", "jsonl") else [None, "", " "]
    rows = [*labelled(70), *({"text": "t", "label": "ham", column: blank} for blank in blanks)]
    file = tmp_path / f"e.{form}"
    if form == "json":
        file.write_text(json.dumps(rows))
    elif form == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        separator = "," if form == "csv" else "\t"
        fields = [("label", "text"), *((row["label"] or "", row["text"] or "") for row in rows)]
        file.write_text("\n".join(separator.join(map(str, pair)) for pair in fields))
    read = read_examples(file)
    assert Counter(example.label for example in read.rows) == {"ham": 35, "spam": 35}
    assert read.n_left_out == len(blanks)
    place = {"json": "entry 70", "parquet": "row 70", "jsonl": "line 71"}.get(form, "line 72")
    assert read.notices == [
        f"{len(blanks)} of {len(rows)} rows of {file} have no {column!r} (first {place}): "
        "they are left out"
    ]


def test_a_column_of_numbers_with_nulls_has_no_class_nan(tmp_path: Path) -> None:
    labels = pa.array([0.0, 1.0] * 20 + [None, float("nan")])
    table = pa.table({"label": labels, "text": [f"text {i}" for i in range(42)]})
    pq.write_table(table, tmp_path / "e.parquet")
    read = read_examples(tmp_path / "e.parquet")
    assert Counter(example.label for example in read.rows) == {"0.0": 20, "1.0": 20}
    assert read.n_left_out == 2


def test_a_file_with_many_rows_without_a_value_is_refused(tmp_path: Path) -> None:
    rows = [*labelled(8), {"text": "a", "label": None}, {"text": " ", "label": "ham"}]
    (tmp_path / "e.json").write_text(json.dumps(rows))
    sentence = (
        "2 of 10 rows of .*e.json have no 'label' \\(first entry 8\\) or "
        "'text' \\(first entry 9\\): "
        "give each row a value, or remove it, set classification.label_column and "
        "classification.text_column, or raise limits.blank_rows$"
    )
    with pytest.raises(DataError, match=sentence):
        read_examples(tmp_path / "e.json")


def test_white_space_around_a_label_makes_no_other_class(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("label,text\nham ,a\n ham,b\nham,c\nspam, d \n")
    examples = read_examples(tmp_path / "e.csv").rows
    assert [example.label for example in examples] == ["ham", "ham", "ham", "spam"]
    assert examples[3].text == " d "


@pytest.mark.parametrize("value", [["a"], {"a": 1}])
def test_a_value_that_is_no_text_is_refused(tmp_path: Path, value: object) -> None:
    (tmp_path / "e.json").write_text(json.dumps([*labelled(4), {"text": value, "label": "ham"}]))
    with pytest.raises(DataError, match=r"entry 4: 'text' holds no text but [\[{]'a'"):
        read_examples(tmp_path / "e.json")


def test_half_of_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(r'[{"text": "a \ud83d b", "label": "ham"}]')
    with pytest.raises(DataError, match=r"entry 0: 'text' has half of a surrogate pair, \\ud83d"):
        read_examples(tmp_path / "e.json")
    (tmp_path / "i.json").write_text(r'[{"instruction": "a", "output": "\udc00"}]')
    with pytest.raises(DataError, match=r"entry 0: 'output' has half of a surrogate pair"):
        read_instructions(tmp_path / "i.json")


@pytest.mark.parametrize(
    ("header", "missing", "setting"),
    [
        ("sentiment\treview", "text", "text"),
        ("Label\tText", "text", "text"),
        ("v1\tv2", "text", "text"),
    ],
)
def test_a_header_with_other_names_is_no_example(
    tmp_path: Path, header: str, missing: str, setting: str
) -> None:
    rows = "".join(f"{i % 2}\tsentence {i}\n" for i in range(20))
    (tmp_path / "e.tsv").write_text(f"{header}\n{rows}")
    names = header.replace("\t", ", ")
    sentence = f"has no column {missing!r}; it has {names}; set classification.{setting}_column"
    with pytest.raises(DataError, match=sentence):
        read_examples(tmp_path / "e.tsv")
    second, first = header.split("\t")[::-1]
    assert len(read_examples(tmp_path / "e.tsv", second, first).rows) == 20


@pytest.mark.parametrize("header", ["label\tsentence", "text\tsentiment", "sentiment\ttext"])
def test_of_two_columns_one_name_is_enough(tmp_path: Path, header: str) -> None:
    first = header.split("\t")[0] in ("label", "sentiment")
    rows = [(f"{i % 2}", f"sentence {i}")[:: 1 if first else -1] for i in range(20)]
    (tmp_path / "e.tsv").write_text("\n".join(map("\t".join, [header.split("\t"), *rows])))
    read = read_examples(tmp_path / "e.tsv")
    assert read.rows == [Example(f"sentence {i}", f"{i % 2}") for i in range(20)]
    (notice,) = read.notices
    other = "sentence" if "sentence" in header else "sentiment"
    assert notice.endswith(f"its column {other!r} is read")


def test_the_two_forms_of_sst2_are_read(shared_data: Path) -> None:
    folder = shared_data / "sentiment"
    for part, n_glue, n_stsa in (("dev", 872, 872), ("test", 1821, 1821), ("train", 67_349, 6920)):
        glue = read_examples(folder / f"sst2_glue_{part}.tsv").rows
        lines = read_examples(folder / f"stsa.binary.{part}").rows
        assert (len(glue), len(lines)) == (n_glue, n_stsa)
        if part != "train":
            assert glue == lines


def test_a_headerless_table_whose_labels_recur_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "e.tsv").write_text("".join(f"{'ab'[i % 2]}\tmessage {i}\n" for i in range(6)))
    assert len(read_examples(tmp_path / "e.tsv").rows) == 6


def test_entries_without_an_instruction_or_answer_are_left_out_with_a_count(
    tmp_path: Path,
) -> None:
    good = [{"instruction": f"Say {i}.", "input": None, "output": ""} for i in range(30)]
    bad = [{"instruction": " ", "output": "x"}, {"instruction": "Say x.", "output": None}]
    (tmp_path / "i.json").write_text(json.dumps([*good, *bad]))
    read = read_instructions(tmp_path / "i.json")
    assert read.rows == [InstructionExample(f"Say {i}.", "", "") for i in range(30)]
    assert read.n_left_out == 2
    assert "no 'instruction' (first entry 30) or 'output' (first entry 31)" in read.notices[0]
    (tmp_path / "i.json").write_text(json.dumps([*good[:3], *bad]))
    with pytest.raises(
        DataError, match=r"2 of 5 rows of .* or remove it, or raise limits\.blank_rows$"
    ):
        read_instructions(tmp_path / "i.json")
