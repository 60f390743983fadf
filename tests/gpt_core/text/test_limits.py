"""A file beyond a limit is refused with the name of its setting, which lets it in if raised."""

import gzip
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpt_core.config import (
    GPTConfig,
    LimitsConfig,
    ReadingConfig,
    current_limits,
    load_config,
    use_limits,
)
from gpt_core.errors import DataError, GPTCoreError
from gpt_core.models import build_model
from gpt_core.text import read_examples, read_instructions, read_objects, read_texts

LONG = "a" * 3000


@dataclass(frozen=True)
class Case:
    """A file of almost nothing but what a limit is about."""

    setting: str
    refusing: float
    allowing: float
    write: Callable[[Path], object]
    read: Callable[[Path], object]


def texts(name: str, boundaries: str | None = None) -> Callable[[Path], object]:
    reading = ReadingConfig(boundaries=boundaries)
    return lambda folder: [text for _, text in read_texts(folder / name, reading)]


def write(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content, "utf-8")


def write_gz(folder: Path) -> None:
    (folder / "a.txt.gz").write_bytes(gzip.compress(b"a" * 200_000))


def write_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "a" * 200_000)


def write_parquet(folder: Path) -> None:
    table = pa.table({"text": [chr(97 + n) * 20_000 for n in range(20)]})
    pq.write_table(table, folder / "a.parquet", compression="zstd", use_dictionary=False)


def write_spans(folder: Path) -> None:
    (folder / "a.txt").write_text(LONG)
    (folder / "spans.tsv").write_text("char_offset\tchar_length\n0\t3000\n")


LABELLED = json.dumps([{"text": f"t{n}", "label": n % 2 if n % 4 else None} for n in range(40)])
ANSWERED = json.dumps([{"instruction": f"i{n}" if n % 4 else "", "output": ""} for n in range(40)])

CASES = {
    "gz": Case("unpacked_ratio", 100, 2000, write_gz, texts("a.txt.gz")),
    "zip": Case("unpacked_ratio", 100, 2000, write_zip, texts("a.zip")),
    "Parquet": Case("unpacked_ratio", 100, 2000, write_parquet, texts("a.parquet")),
    "JSON lines": Case(
        "line_characters", 3000, 3100, write("a.jsonl", f'"{LONG}"\n'), texts("a.jsonl")
    ),
    "a table's line": Case(
        "line_characters", 3000, 3001, write("a.tsv", f"text\n{LONG}\n"), texts("a.tsv")
    ),
    "a benchmark's line": Case(
        "line_characters", 3000, 3100, write("a.jsonl", json.dumps({"text": LONG})),
        lambda folder: list(read_objects(folder / "a.jsonl")),
    ),
    "a table's field": Case(
        "cell_characters", 2999, 3000, write("a.csv", f"text\n{LONG}\n"), texts("a.csv")
    ),
    "a JSON array": Case(
        "array_characters", 3000, 3100, write("a.json", f'["{LONG}"]'), texts("a.json")
    ),
    "a document in a table of boundaries": Case(
        "document_characters", 2999, 3000, write_spans, texts("a.txt", "spans.tsv")
    ),
    "rows without a label": Case(
        "blank_rows", 0.2, 0.25, write("a.json", LABELLED),
        lambda folder: read_examples(folder / "a.json"),
    ),
    "rows without an instruction": Case(
        "blank_rows", 0.2, 0.25, write("a.json", ANSWERED),
        lambda folder: read_instructions(folder / "a.json"),
    ),
    "a model": Case(
        "memory_gib", 1e-6, 0.001, lambda folder: None,
        lambda folder: build_model(GPTConfig(n_layer=1, n_head=1, n_embd=32, vocab_size=300)),
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_exempt_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are measured as large ones are."""
    monkeypatch.setattr("gpt_core.text.unpacking.SMALL", 0)


@pytest.mark.parametrize("name", CASES)
def test_the_sentence_names_the_setting_and_raising_it_lets_the_file_through(
    tmp_path: Path, name: str
) -> None:
    case = CASES[name]
    case.write(tmp_path)
    refusing, allowing = (
        load_config(settings=[f"limits.{case.setting}={value}"]).limits
        for value in (case.refusing, case.allowing)
    )
    with use_limits(refusing), pytest.raises(GPTCoreError, match=rf"limits\.{case.setting}"):
        case.read(tmp_path)
    with use_limits(allowing):
        assert case.read(tmp_path)


def test_every_limit_has_a_case() -> None:
    assert {case.setting for case in CASES.values()} == {each.name for each in fields(LimitsConfig)}


def test_the_largest_numbers_are_no_error_of_the_libraries(tmp_path: Path) -> None:
    counted = [each.name for each in fields(LimitsConfig) if each.name != "blank_rows"]
    largest = load_config(settings=[f"limits.{name}={1 << 48}" for name in counted]).limits
    with use_limits(largest):
        for case in CASES.values():
            if case.setting != "blank_rows":
                case.write(tmp_path)
                assert case.read(tmp_path)


def test_a_block_has_its_limits_and_a_reader_those_of_the_block_that_began_it(
    tmp_path: Path,
) -> None:
    def read() -> Iterator[tuple[str, str]]:
        return read_texts(tmp_path / "a.jsonl", ReadingConfig())

    (tmp_path / "a.jsonl").write_text('"a"\n' + f'"{LONG}"\n')
    strict = LimitsConfig(line_characters=10)
    with use_limits(strict):
        assert current_limits() == strict
        reader = read()
        next(reader)
    assert current_limits() == LimitsConfig()
    with pytest.raises(DataError, match="line 2 is longer than 10 characters"):
        next(reader)
    assert len(list(read())) == 2
