"""Labelled texts that are no table: fastText's lines, label and text, and folders."""

import re
from pathlib import Path

import pytest

from gpt_core.errors import DataError
from gpt_core.text import Example, read_examples

GOOD, BAD = Example("a fine film", "pos"), Example("dull , and long", "neg")


def write(folder: Path, files: dict[str, str], encoding: str = "utf-8") -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding=encoding)
    return folder


@pytest.mark.parametrize("name", ["reviews.txt", "stsa.binary.train", "reviews.tsv"])
def test_fasttext_lines_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("__label__pos a fine film\n\n__label__neg dull , and long\n")
    assert read_examples(tmp_path / name).rows == [GOOD, BAD]


@pytest.mark.parametrize("name", ["reviews.txt", "stsa.binary.train", "reviews"])
def test_lines_of_a_label_and_a_text_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("pos a fine film\nneg dull , and long\n")
    assert read_examples(tmp_path / name).rows == [GOOD, BAD]


@pytest.mark.parametrize(
    "files",
    [
        {"rt-polarity.neg": "dull , and long\n", "rt-polarity.pos": "\na fine film\n"},
        {"neg.txt": "dull , and long\n", "pos.txt": "a fine film", ".hidden": "x"},
        {"neg/1.txt": "dull , and long", "pos/a/1.txt": "a fine film"},
    ],
    ids=["suffix", "stem", "folder"],
)
def test_a_folder_with_a_file_or_a_folder_for_each_label_is_read(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert read_examples(write(tmp_path, files)).rows == [BAD, GOOD]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"neg/1.txt": "a", "pos/1.txt": "b", "urls.txt": "c"}, "also the file 'urls.txt'"),
        ({"a.pos": "a", "a.neg": "b", "b.pos": "c"}, "has several files named 'a'"),
        ({"table.tsv": "ham\ta\n"}, "has only the label 'table'"),
    ],
)
def test_a_folder_of_something_else_is_refused(
    tmp_path: Path, files: dict[str, str], sentence: str
) -> None:
    with pytest.raises(DataError, match=re.escape(sentence)):
        read_examples(write(tmp_path, files))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("__label__a x\nb y\n", "line 2 does not begin with __label__"),
        ("__label__a __label__b x\n", "line 1 has several labels"),
        ("\n".join(f"word{i} is first" for i in range(30)), "begin with 30 different words"),
    ],
)
def test_lines_of_something_else_are_refused(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "e.txt").write_text(content)
    with pytest.raises(DataError, match=re.escape(sentence)):
        read_examples(tmp_path / "e.txt")


@pytest.mark.parametrize(
    ("text", "encoding", "likely"),
    [
        ("a clichéd film , and nothing else to say about it in all of its two hours", "cp1252", ""),
        ("Привет, как дела? Мы едем в город, чтобы посмотреть новый фильм.", "cp1251", "cp1251"),
    ],
)
def test_another_encoding_is_named_and_read(
    tmp_path: Path, text: str, encoding: str, likely: str
) -> None:
    folder = write(tmp_path, {"r.pos": f"{text}\n" * 9, "r.neg": f"no {text}\n" * 9}, encoding)
    sentence = f"set classification.encoding={likely or encoding}, which it may be"
    with pytest.raises(DataError, match=sentence):
        read_examples(folder)
    rows = read_examples(folder, encoding=encoding).rows
    assert [(row.label, row.text) for row in rows[:1] + rows[-1:]] == [
        ("neg", f"no {text}"), ("pos", text),
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, encoding: str) -> None:
    write(tmp_path, {"e.csv": "label,text\npos,a fine film\nneg,é\n"}, encoding)
    assert read_examples(tmp_path / "e.csv").rows == [GOOD, Example("é", "neg")]
