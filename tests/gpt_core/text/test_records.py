"""JSON, JSON lines, CSV, TSV and Parquet are read by the same rules."""

import csv
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpt_core.errors import DataError
from gpt_core.text.records import RecordFormat, read_objects, read_record_file, read_table
from gpt_core.text.rows import WantedColumns, find_layout, read_rows

COLUMNS = ("text", "label")


def write(file: Path, content: str | bytes) -> Path:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def values_of(file: Path, form: RecordFormat, headerless: tuple[str, ...] = ()) -> list[object]:
    return [value for _, value in read_record_file(file, form, COLUMNS, headerless)]


def test_every_record_comes_with_its_place(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.append_column("more", pa.array([1, 2])), tmp_path / "a.parquet")
    write(tmp_path / "a.json", json.dumps(rows))
    write(tmp_path / "a.jsonl", "\n" + "\n\n".join(map(json.dumps, rows)))
    write(tmp_path / "a.csv", 'label,text,more\nx,a,1\ny,b,"2\n3"\n')
    write(tmp_path / "a.tsv", "label\ttext\n\nx\ta\ny\tb")
    places = {
        "json": ["entry 0", "entry 1"],
        "jsonl": ["line 2", "line 4"],
        "csv": ["line 2", "line 3"],
        "tsv": ["line 3", "line 4"],
        "parquet": ["row 0", "row 1"],
    }
    for form, expected in places.items():
        read = list(read_record_file(tmp_path / f"a.{form}", form, COLUMNS))  # type: ignore[arg-type]
        assert read == list(zip(expected, rows, strict=True)), form


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "tsv"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_and_any_line_end_are_accepted(
    tmp_path: Path, form: RecordFormat, end: str
) -> None:
    lines = {
        "json": ['[{"text": "a", "label": "x"}]', ""],
        "jsonl": ['{"text": "a", "label": "x"}', ""],
        "csv": ["text,label", "a,x", ""],
        "tsv": ["text\tlabel", "a\tx", ""],
    }[form]
    file = write(tmp_path / "a", "\ufeff" + end.join(lines))
    assert values_of(file, form) == [{"text": "a", "label": "x"}]


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\u0085", "\x0b", "\x1c"])
def test_unicode_line_separators_do_not_end_a_record(tmp_path: Path, character: str) -> None:
    row = {"text": f"a{character}b", "label": "x"}
    if character >= " ":
        line = json.dumps(row, ensure_ascii=False)
        assert values_of(write(tmp_path / "a.jsonl", line), "jsonl") == [row]
    assert values_of(write(tmp_path / "a.csv", f"text,label\na{character}b,x"), "csv") == [row]
    assert values_of(write(tmp_path / "a.tsv", f"text\tlabel\na{character}b\tx"), "tsv") == [row]


@pytest.mark.parametrize(("form", "separator"), [("csv", ","), ("tsv", "\t")])
def test_a_field_may_be_longer_than_pythons_default_limit(
    tmp_path: Path, form: RecordFormat, separator: str
) -> None:
    long = "x " * 200_000
    content = f"label{separator}text\nham{separator}{long}\n"
    assert values_of(write(tmp_path / "a", content), form) == [{"text": long, "label": "ham"}]


@pytest.mark.parametrize(("form", "separator"), [("csv", ","), ("tsv", "\t")])
def test_blank_lines_are_skipped_and_names_in_the_header_stripped(
    tmp_path: Path, form: RecordFormat, separator: str
) -> None:
    content = f"\n label {separator} text\n\nham{separator}abc\n\nspam{separator} d \n\n\n"
    assert values_of(write(tmp_path / "a", content), form) == [
        {"text": "abc", "label": "ham"},
        {"text": " d ", "label": "spam"},
    ]


def test_csv_is_quoted_and_tsv_is_not(tmp_path: Path) -> None:
    content = 'text,label\n"say ""x"", y\nz",a\n'
    assert values_of(write(tmp_path / "a", content), "csv") == [
        {"text": 'say "x", y\nz', "label": "a"}
    ]
    assert values_of(write(tmp_path / "a", 'text\tlabel\n"say\t""x"\n'), "tsv") == [
        {"text": '"say', "label": '""x"'}
    ]


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_a_csv_of_a_spreadsheet_in_any_country_is_read_alike(
    tmp_path: Path, delimiter: str
) -> None:
    path = tmp_path / "rows.csv"
    rows = [("Nr", "Review", "Mood"), ("1", "so; so, \t\nsaid", "good"), ("2", "3,5 of 5", "bad")]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        file.write("\r\n")
        csv.writer(file, delimiter=delimiter).writerows(rows)
    found = list(read_record_file(path, "csv", ["Review", "Mood"]))
    assert found == [
        ("line 3", {"Review": "so; so, \t\nsaid", "Mood": "good"}),
        ("line 5", {"Review": "3,5 of 5", "Mood": "bad"}),
    ]
    layout = find_layout(path, WantedColumns(text="Review", label="Mood"))
    assert [row.values["Mood"] for row in read_rows(layout)] == ["good", "bad"]


def test_a_csv_with_a_comma_in_its_first_line_has_commas(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a;b,c\n1;2,3\n", encoding="utf-8")
    assert list(read_record_file(path, "csv", ["a;b", "c"])) == [
        ("line 2", {"a;b": "1;2", "c": "3"})
    ]


def test_only_a_tsv_of_as_many_columns_may_lack_a_header(tmp_path: Path) -> None:
    headerless = ("label", "text")
    file = write(tmp_path / "a", "ham\ta\nspam\tb\n")
    rows = [{"text": "a", "label": "ham"}, {"text": "b", "label": "spam"}]
    assert values_of(file, "tsv", headerless) == rows
    with pytest.raises(DataError, match=r"has no column 'text'; it has ham, a$"):
        values_of(file, "tsv")
    with pytest.raises(DataError, match=r"has no column 'text'; it has a, b, c$"):
        values_of(write(tmp_path / "a", "a\tb\tc\n"), "tsv", headerless)
    with pytest.raises(DataError, match=r"has no column 'text'; it has ham, a$"):
        values_of(write(tmp_path / "a", "ham,a\n"), "csv", headerless)


def test_a_first_line_is_a_header_if_its_label_alone_recurs_nowhere(tmp_path: Path) -> None:
    headerless = ("label", "text")
    rows = "a\tx\nb\ty\na\tz\n"
    assert len(values_of(write(tmp_path / "a", rows), "tsv", headerless)) == 3
    with pytest.raises(DataError, match=r"has no column 'text'; it has kind, body$"):
        values_of(write(tmp_path / "a", f"kind\tbody\n{rows}"), "tsv", headerless)
    with pytest.raises(DataError, match=r"has no column 'text'; it has label, body$"):
        values_of(write(tmp_path / "a", "label\tbody\na\tx\n"), "tsv", headerless)


def test_the_names_in_an_error_are_shortened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"it has x{40}, a, b, 1(, 1){8}, \.\.\.$"):
        values_of(write(tmp_path / "a", "x" * 99 + ",a,b" + ",1" * 50), "csv")


def test_the_first_of_two_columns_of_one_name_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a", "text,label,text\na,x,b\n")
    assert values_of(file, "csv") == [{"text": "a", "label": "x"}]


def test_a_parquet_file_of_several_batches_is_numbered_through(tmp_path: Path) -> None:
    rows = [{"label": number, "text": str(number)} for number in range(2100)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a", row_group_size=500)
    read = list(read_record_file(tmp_path / "a", "parquet", COLUMNS))
    assert read == [(f"row {number}", row) for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("form", "content", "sentence"),
    [
        ("csv", 'label,text\nham,"abc\nspam,hello\n', "line 2: not a valid table: unexpected end"),
        ("csv", 'label,text\na,b\n\nham,"a"b\n', "line 4: not a valid table: ',' expected"),
        ("csv", "label,text\na,b\nc\n", "line 3: 1 fields, the header has 2"),
        ("tsv", "label\ttext\na\tb\tc\n", "line 2: 3 fields, the header has 2"),
        ("csv", "label,body\na,b\n", "has no column 'text'; it has label, body"),
        ("csv", "", "has no column 'text'; it has none"),
        ("tsv", "\n\n", "has no column 'text'; it has none"),
        ("parquet", "not parquet", "is not an intact Parquet file"),
        ("json", '{"text": "a"}', "must hold a JSON array of objects with 'text' and 'label'"),
        ("json", "[1,\n2", "line 2: not valid JSON"),
        ("json", "[" * 99_999, "line 1: JSON that cannot be read"),
        ("jsonl", '{"text": "a"}\n\n{"text"', "line 3: not valid JSON"),
        ("jsonl", "1" * 9_999, "line 1: JSON that cannot be read"),
        ("csv", b"text,label\na,\xff\n", "byte 0xff at offset 13 (line 2) cannot be decoded; save"),
        ("tsv", "a\tb".encode("utf-16"), "is utf-16 text, not utf-8: save it as UTF-8"),
    ],
)
def test_an_unreadable_file_raises_a_one_line_error_with_its_place(
    tmp_path: Path, form: RecordFormat, content: str | bytes, sentence: str
) -> None:
    file = write(tmp_path / "a", content)
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        values_of(file, form)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_missing_file_raises_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone cannot be read: No such file"):
        values_of(tmp_path / "gone", "csv")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        values_of(tmp_path, "parquet")


def test_a_missing_column_advises_the_setting() -> None:
    with pytest.raises(
        DataError, match=r"t has no column 'text'; it has a; set reading.text_column"
    ):
        list(read_table(["a\n"], "csv", "t", ["text"], settings={"text": "reading.text_column"}))


def test_json_lines_are_numbered_and_blank_ones_skipped(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1}\n\n  \n{"a": "سلام"}', encoding="utf-8")
    assert list(read_objects(file)) == [("line 1", {"a": 1}), ("line 4", {"a": "سلام"})]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "rows.jsonl cannot be read: No such file"),
        (b'{"a": 1}\n\xff', "rows.jsonl is not utf-8: byte 0xff at offset 9 .line 2."),
        (b'{"a": 1}\n{"a"', "rows.jsonl, line 2: not valid JSON: Expecting ':' delimiter"),
        (b'{"a": 1}\n[1]', "rows.jsonl, line 2 is not a JSON object"),
        (b"[" * 100_000, "rows.jsonl, line 1: JSON that cannot be read"),
    ],
)
def test_unreadable_json_lines_are_one_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "rows.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        list(read_objects(file))


def test_json_lines_may_hold_line_separators_and_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('\ufeff{"a": "x\u2028y"}\n', encoding="utf-8")
    assert list(read_objects(file)) == [("line 1", {"a": "x\u2028y"})]
