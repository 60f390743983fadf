"""Rows of tables: all of them, in order, the broken ones with their place and reason."""

from pathlib import Path

import pytest

from gpt_core.config import LimitsConfig, use_limits
from gpt_core.errors import DataError
from gpt_core.text import TableRow, WantedColumns, find_layout, read_rows

WANTED = WantedColumns(text="text", label="label", labels=("ham", "spam"))


def rows(path: Path, wanted: WantedColumns = WANTED, encoding: str = "auto") -> list[TableRow]:
    return list(read_rows(find_layout(path, wanted, encoding)))


def write(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_a_row_with_a_broken_quote_names_all_lines_that_it_took(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", b'text\n"open\nnext\n"x y"\nlast\n')
    found = rows(path)
    assert [row.problem for row in found] == [
        "lines 2 to 4: not a valid row: ',' expected after '\"'",
        None,
    ]
    assert found[1] == TableRow(1, {"text": "last"}, None)


def test_a_quote_that_is_never_closed_and_a_field_beyond_the_limit_refuse_the_file(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "a.csv", b'text\nfine\n"open\nnext\n')
    with pytest.raises(DataError, match=r"a\.csv, line 3: a quote that opens there is not closed"):
        rows(path)
    long = write(tmp_path, "b.csv", b"text\n" + b"x" * 50 + b"\n")
    limited = pytest.raises(DataError, match="longer than 40 characters")
    with use_limits(LimitsConfig(cell_characters=40)), limited:
        rows(long)


def test_each_broken_line_of_json_has_its_reason(tmp_path: Path) -> None:
    lines = [
        b'{"text": "good", "label": "ham"}', b"", b"{broken", b'{"text": ["a"]}', b"7",
        b'{"text": "\\ud800"}', b'{"other": 1}', b'{"text": "\xe9"}', b'"bare"', b'{"text": 12.5}',
        b"[" * 100_000,
    ]  # fmt: skip
    found = rows(write(tmp_path, "a.jsonl", b"\n".join(lines)))
    assert [row.number for row in found] == list(range(10))
    problems = [row.problem or "" for row in found]
    assert problems[0] == problems[7] == problems[8] == ""
    assert problems[1].startswith("line 3: not valid JSON")
    assert problems[2] == "line 4: 'text' holds no text but ['a']"
    assert problems[3] == "line 5: no object but 7"
    assert problems[4] == "line 6: 'text' has half of a surrogate pair, \\ud800"
    assert problems[5] == "line 7: 'text' is blank"
    assert problems[6] == "line 8: 'text' has the byte 0xe9, which predict.encoding does not have"
    assert problems[9].startswith("line 11: JSON that cannot be read")
    assert [found[i].values["text"] for i in (7, 8)] == ["bare", "12.5"]
    assert found[0].values == {"text": "good", "label": "ham"}


def test_a_tsv_without_a_header_begins_with_a_label_that_is_known(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", b"ham\tone\nspam\ttwo\nother\tthree\n")
    assert [row.values for row in rows(path)] == [
        {"text": "one", "label": "ham"},
        {"text": "two", "label": "spam"},
        {"text": "three", "label": "other"},
    ]
    with pytest.raises(DataError, match="no column 'text'; it has ham, one"):
        rows(path, WantedColumns(text="text"))


def test_the_only_other_column_is_that_of_the_texts_and_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", b"message,label\nhello,ham\n")
    layout = find_layout(path, WANTED)
    assert (layout.text, layout.label) == ("message", "label")
    assert layout.notices == (f"{path} has no 'text': its column 'message' is read",)
    two = write(tmp_path, "b.csv", b"id,message\n1,hello\n")
    with pytest.raises(DataError, match=r"no column 'text'; it has id, message; set predict\.text"):
        find_layout(two, WANTED)


def test_encodings_are_decoded_as_named_or_marked(tmp_path: Path) -> None:
    cp1252 = write(tmp_path, "a.csv", "text\ncafé\n".encode("cp1252"))
    assert rows(cp1252)[0].problem is not None
    assert rows(cp1252, encoding="cp1252")[0].values == {"text": "café"}
    wide = write(tmp_path, "b.csv", "text\nسلام\n".encode("utf-16"))
    assert rows(wide)[0].values == {"text": "سلام"}
    assert rows(write(tmp_path, "c.csv", b"\xef\xbb\xbftext\nx\n"))[0].values == {"text": "x"}


@pytest.mark.parametrize("name", ["a.gz", "a.zip", "a.xlsx", "a"])
def test_a_file_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"rows are read from \.csv"):
        find_layout(write(tmp_path, name, b"text\nx\n"), WANTED)
