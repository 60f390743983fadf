"""Inputs that once failed or were misread, made here and read from the shared folder too."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.config import ClassificationConfig, CleaningConfig, InstructionConfig, ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import (
    probe_texts,
    read_example_splits,
    read_examples,
    read_instruction_splits,
    read_instructions,
    read_texts,
)

LONG_SPACE = "a" + " " * 1_300_000 + "b"


def tasks(n: int) -> list[dict[str, str]]:
    return [
        {"instruction": f"q{i}", "input": "one\u2028two", "output": f"a{i}\u2029"} for i in range(n)
    ]


def contents() -> dict[str, str]:
    """The files of the shared folder by their names."""
    rows = [
        {"text": f"message {i} of {label}", "label": label}
        for i in range(200)
        for label in ("ham", "spam")
    ]
    lines = [json.dumps(task, ensure_ascii=False) for task in tasks(20)]
    plain = [json.dumps({"instruction": f"q{i}", "output": "a"}) for i in range(20)]
    return {
        "labels_null.json": json.dumps(
            rows + [{"text": f"t{i}", "label": None} for i in range(12)]
        ),
        "nine_instructions.json": json.dumps(tasks(9)),
        "instructions_u2028.jsonl": "\n".join(lines),
        "instructions_bom.jsonl": "\ufeff" + "\n".join(plain),
        "long_field.csv": "label,text\nham," + "x " * 100_000 + "\nspam,hello\n",
        "unclosed_quote.csv": 'label,text\nham,"abc\nspam,hello\n',
        "not_parquet.parquet": "not parquet",
        "blank_line.csv": "label,text\nham,abc\n\nspam,hello\n\n",
    }


@pytest.fixture(scope="module", params=["made", "shared"])
def cases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, project_root: Path
) -> Path:
    """A folder of the files: made by this test, or the one beside the checkout."""
    if request.param == "shared":
        shared = project_root.parent / "shared" / "cases"
        if not shared.is_dir():
            pytest.skip("the shared cases are not beside this checkout")
        return shared
    folder: Path = tmp_path_factory.mktemp("cases")
    for name, content in contents().items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def test_missing_labels_are_no_class_and_cost_no_examples(cases: Path) -> None:
    splits, file = read_example_splits(cases / "labels_null.json", ClassificationConfig())
    assert Counter(example.label for example in file.rows) == {"ham": 200, "spam": 200}
    assert len(splits.train) == 280
    assert file.n_left_out == 12
    assert "12 of 412 rows of" in file.notices[0]
    assert "have no 'label' (first entry 400): they are left out" in file.notices[0]


def test_too_few_instructions_are_refused_when_they_are_split(cases: Path) -> None:
    with pytest.raises(DataError, match="9 examples leave none for the validation part"):
        read_instruction_splits(cases / "nine_instructions.json", InstructionConfig())


@pytest.mark.parametrize("name", ["instructions_u2028.jsonl", "instructions_bom.jsonl"])
def test_line_separators_and_byte_order_marks_do_no_harm(cases: Path, name: str) -> None:
    assert len(read_instructions(cases / name).rows) == 20
    read_instruction_splits(cases / name, InstructionConfig())


@pytest.mark.parametrize("name", ["long_field.csv", "blank_line.csv"])
def test_long_fields_and_blank_lines_are_read(cases: Path, name: str) -> None:
    examples = read_examples(cases / name).rows
    assert [example.label for example in examples] == ["ham", "spam"]
    texts = [text for _, text in read_texts(cases / name, ReadingConfig())]
    assert texts == [example.text for example in examples]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("unclosed_quote.csv", "unclosed_quote.csv, line 2: not a valid table: unexpected end"),
        ("not_parquet.parquet", "not_parquet.parquet is not an intact Parquet file"),
    ],
)
def test_damaged_tables_are_one_sentence(cases: Path, name: str, sentence: str) -> None:
    with pytest.raises(DataError, match=re.escape(sentence)):
        read_examples(cases / name)
    with pytest.raises(DataError, match=re.escape(sentence)):
        probe_texts(cases / name, ReadingConfig(), CleaningConfig())


@pytest.mark.parametrize(
    ("part", "column", "n"), [("dev", "content", 872), ("train", "sentence", 67_349)]
)
def test_a_table_of_sst2_is_read_by_the_name_of_its_column(
    tmp_path: Path, project_root: Path, part: str, column: str, n: int
) -> None:
    file = project_root.parent / "shared" / "data" / "sentiment" / f"sst2_glue_{part}.tsv"
    if not file.is_file():
        file, n = tmp_path / "table.tsv", 60
        rows = "".join(f"{i % 2}\tsentence {i}\n" for i in range(n))
        file.write_text(f"label\t{column}\n{rows}")
    assert len(read_examples(file).rows) == n
    splits, read = read_example_splits(file, ClassificationConfig(text_column=column))
    assert len(read.rows) == n - read.counts.get("two_label_rows", 0)
    assert {example.label for example in splits.train} == {"0", "1"}


def test_a_long_run_of_spaces_is_read_and_cleaned(
    tmp_path: Path, count: Callable[[str, int], None]
) -> None:
    (tmp_path / "a.txt").write_text(LONG_SPACE)
    plain = CleaningConfig(language="none", validation_share=0, test_share=0)
    probe = probe_texts(tmp_path / "a.txt", ReadingConfig(), plain)
    assert probe is not None
    assert probe.sizes["train"] == len(LONG_SPACE)
    count("inputs that once failed", len(contents()) + 3)
