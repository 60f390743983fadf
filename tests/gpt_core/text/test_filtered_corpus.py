"""A corpus is cleaned through the filters that are on, alike for any parts and workers."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from gpt_core.artifact import Artifact
from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.engine import LocalEngine
from gpt_core.errors import ConfigError, DataError
from gpt_core.text import SPLITS, clean_corpus, iter_documents, register_source

ALL_TRAIN = {"validation_share": 0.0, "test_share": 0.0}
HELD = "the old captain that had sailed with them to the island was never seen to be afraid of it"


def registered(text: str, folder: Path) -> Artifact:
    folder.mkdir()
    (folder / "a.txt").write_text(text, encoding="utf-8")
    return register_source(folder / "a.txt", folder / "raw")


def report_of(made: Artifact) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((made.directory / "report.json").read_text())
    return report


def draw_corpus() -> list[str]:
    """Documents of 60 words, some of them equal to an earlier one, some nearly."""
    made: list[str] = []
    for _ in range(150):
        words = [f"word{random.randrange(4000)}" for _ in range(60)]
        if made and random.random() < 0.4:
            words = random.choice(made).split()
            if random.random() < 0.7:
                words[random.randrange(60)] = "changed"
        made.append(" ".join(words))
    return made


def test_near_duplicates_are_the_same_for_any_parts_and_workers(tmp_path: Path) -> None:
    texts = draw_corpus()
    raw = registered("\n\n".join(texts), tmp_path / "in")
    config = CleaningConfig(near_duplicates=True, language="none", **ALL_TRAIN)
    found = []
    with LocalEngine(2) as engine:
        for name, options in {"whole": {}, "parts": {"engine": engine, "part_bytes": 9000}}.items():
            made = clean_corpus(raw, ReadingConfig(), config, tmp_path / name, **options)
            kept = [(d.id, d.text) for split in SPLITS for d in iter_documents(made, split)]
            found.append((kept, report_of(made)))
    assert (tmp_path / "parts" / "train" / "part-00003.parquet").is_file()
    assert found[0] == found[1]
    kept, report = found[0]
    near, counts = report["near_duplicates"], report["documents"]
    assert len(kept) == len(texts) - counts["duplicates"] - near["documents"]
    assert counts["duplicates"] > 0 < near["documents"]
    assert near["characters"] >= 60 * near["documents"]
    assert all(each["kept"] != each["dropped"] for each in near["examples"])
    everything = clean_corpus(
        raw, ReadingConfig(), CleaningConfig(language="none", **ALL_TRAIN), tmp_path / "all"
    )
    assert kept[0][1] == texts[0]
    assert {text for _, text in kept} < {d.text for d in iter_documents(everything, "train")}
    assert made.metrics()["near_duplicates"] == near["documents"]


def test_every_filter_is_counted_and_off_by_default(tmp_path: Path) -> None:
    texts = [
        "He said that the rain of the night had been heavy, and she agreed with him.",
        f"The book says: {HELD}.",
        "Le capitaine avait dit que la pluie de la nuit avait été forte, et elle le savait.",
        "- bread\n- butter\n- eggs and milk of the farm",
    ]
    raw = registered("\n\n".join(texts), tmp_path / "in")
    held = registered(HELD, tmp_path / "held")
    config = CleaningConfig(
        languages=("en",), quality=True, quality_min_words=5, contamination="held", **ALL_TRAIN
    )
    made = clean_corpus(raw, ReadingConfig(), config, tmp_path / "on", contamination=held)
    assert [d.text for d in iter_documents(made, "train")] == texts[:1]
    filters = report_of(made)["filters"]
    assert {name: each["documents"] for name, each in filters.items()} == {
        "contaminated": 1, "language_fr": 1, "quality_bullet_lines": 1,
    }  # fmt: skip
    assert filters["contaminated"]["examples"] == [" ".join(HELD.split()[:13])]
    assert made.metrics()["filtered_language_fr"] == 1
    assert made.manifest().info["compared"] == [held.fingerprint]
    plain = clean_corpus(raw, ReadingConfig(), CleaningConfig(**ALL_TRAIN), tmp_path / "off")
    assert len(list(iter_documents(plain, "train"))) == 4
    assert set(report_of(plain)) == {"documents", "splits", "rules"}


def test_settings_that_are_off_leave_the_fingerprint(tmp_path: Path) -> None:
    raw = registered("one\n\ntwo\n\nthree", tmp_path / "in")
    made = clean_corpus(raw, ReadingConfig(), CleaningConfig(), tmp_path / "off")
    recorded = made.manifest().config
    assert isinstance(recorded, list)
    names = set(recorded[1])
    assert not names & {"near_duplicates", "languages", "quality", "contamination", "contaminated"}
    assert {"deduplicate", "min_characters"} <= names
    config = CleaningConfig(near_duplicate_similarity=0.9)
    other = clean_corpus(raw, ReadingConfig(), config, tmp_path / "other")
    assert other.fingerprint != made.fingerprint


def test_what_leaves_nothing_says_which_filter_did(tmp_path: Path) -> None:
    raw = registered("one\n\ntwo\n\nthree", tmp_path / "in")
    with pytest.raises(
        DataError, match=r"no document to train on: 3 read, .* 3 filtered_quality_words, "
    ):
        clean_corpus(raw, ReadingConfig(), CleaningConfig(quality=True), tmp_path / "out")
    with pytest.raises(ConfigError, match="contamination=held: register that source and give it"):
        config = CleaningConfig(contamination="held")
        clean_corpus(raw, ReadingConfig(), config, tmp_path / "out")
