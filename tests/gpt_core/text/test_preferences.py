"""Pairs of answers are read from JSON, JSON lines and Parquet, counted and split by prompt."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpt_core.config import PreferenceConfig
from gpt_core.errors import DataError
from gpt_core.text import PreferencePair, read_preference_splits, read_preferences

ROWS = [{"instruction": f"Do {i}", "input": "x", "chosen": "a", "rejected": "b"} for i in range(30)]


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_the_same_pairs_in_every_format(tmp_path: Path) -> None:
    prompts = [{"prompt": row["instruction"], **row} for row in ROWS]
    for row in prompts:
        del row["instruction"]
    pq.write_table(pa.Table.from_pylist(prompts), tmp_path / "pairs.parquet")
    files = [
        write(tmp_path / "pairs.json", json.dumps(ROWS)),
        write(tmp_path / "pairs.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS)),
        tmp_path / "pairs.parquet",
    ]
    expected = [PreferencePair(f"Do {i}", "x", "a", "b") for i in range(30)]
    for file in files:
        assert read_preferences(file).rows == expected
        assert read_preferences(file).notice == ""


def test_pairs_without_a_text_or_with_equal_answers_are_counted(tmp_path: Path) -> None:
    bad = [{**ROWS[0], "chosen": None}, {**ROWS[1], "rejected": " a "}]
    file = write(tmp_path / "pairs.json", json.dumps([*ROWS, *bad]))
    read = read_preferences(file)
    assert (len(read.rows), read.n_left_out) == (30, 2)
    assert "2 of 32 pairs" in read.notice
    assert "lack a text (1) or have two equal answers (1)" in read.notice


MISTAKES = [
    ("pairs.csv", "", r"pairs of answers are read from \.json, \.jsonl, \.ndjson, \.parquet"),
    ("pairs.json", "[]", "holds no pair of answers"),
    ("pairs.json", '[{"prompt": "a", "chosen": "b"}]', "has no 'rejected'; it has prompt"),
    ("pairs.json", '[{"chosen": "a", "rejected": "b"}]', "has no 'prompt'; it has chosen"),
    ("pairs.json", '[{"prompt": "a", "chosen": ["b"], "rejected": "c"}]', "'chosen' holds no text"),
    ("pairs.json", '[{"prompt": "a", "chosen": "b", "rejected": "b"}]', "or raise limits"),
    ("pairs.jsonl", "3\n", "has no 'chosen'; it has int"),
    ("pairs.parquet", "no", "pairs.parquet"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "sentence"), MISTAKES)
def test_a_wrong_file_is_one_sentence(
    tmp_path: Path, name: str, content: str, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        read_preferences(write(tmp_path / name, content))


def test_equal_prompts_stay_in_one_part(tmp_path: Path) -> None:
    rows = [{**ROWS[i % 15], "chosen": f"a{i}"} for i in range(30)]
    file = write(tmp_path / "pairs.json", json.dumps(rows))
    splits, _ = read_preference_splits(file, PreferenceConfig(test_share=0.2))
    parts = (splits.train, splits.validation, splits.test)
    assert [len(part) for part in parts] == [20, 4, 6]
    prompts = [{pair.instruction for pair in part} for part in parts]
    assert not prompts[0] & prompts[1] | prompts[0] & prompts[2] | prompts[1] & prompts[2]
    with pytest.raises(DataError, match="15 different prompts leave none for the train part"):
        read_preference_splits(file, PreferenceConfig(test_share=0.5, validation_share=0.49))
