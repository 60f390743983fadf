"""Folders as ``datasets`` saves them and hubs publish them are read without their descriptions."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import probe_texts, read_texts


def save(folder: Path, texts: list[str]) -> None:
    """Write the files of ``Dataset.save_to_disk``: shards, their features, and their list."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05}-of-{len(texts):05}.arrow" for number in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        table = pa.table({"text": [text]})
        with pa.ipc.new_stream(folder / name, table.schema) as writer:
            writer.write_table(table)
    features = {"text": {"dtype": "string", "_type": "Value"}}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}, indent=2))
    state = {"_data_files": [{"filename": name} for name in names], "_split": folder.name}
    (folder / "state.json").write_text(json.dumps(state, indent=2))


def texts_of(path: Path) -> list[tuple[str, str]]:
    return list(read_texts(path, ReadingConfig()))


def test_a_saved_data_set_is_its_shards_of_all_splits(tmp_path: Path) -> None:
    save(tmp_path / "set" / "test", ["three"])
    save(tmp_path / "set" / "train", ["one", "two"])
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert texts_of(tmp_path / "set") == [
        ("test/data-00000-of-00001.arrow#0", "three"),
        ("train/data-00000-of-00002.arrow#0", "one"),
        ("train/data-00001-of-00002.arrow#0", "two"),
    ]
    probe = probe_texts(tmp_path / "set", ReadingConfig(), CleaningConfig())
    assert probe is not None
    assert probe.documents.total() == 3


def test_a_saved_data_set_without_a_shard_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "train", ["one", "two"])
    (tmp_path / "train" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(DataError, match=r"state.json lists 'data-00001-of-00002.arrow', which is"):
        texts_of(tmp_path / "train")


def test_the_card_of_a_published_data_set_is_no_document(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("---\nlicense: mit\nconfigs: []\n---\n# Data\n")
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "data" / "train-00000-of-00001.parquet")
    assert texts_of(tmp_path) == [("data/train-00000-of-00001.parquet#0", "one")]
    (tmp_path / "README.md").write_text("My notes.")
    assert [text for _, text in texts_of(tmp_path)] == ["My notes.", "one"]


def test_files_of_these_names_without_data_are_read(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('["one"]')
    assert texts_of(tmp_path) == [("state.json#0", "one")]
