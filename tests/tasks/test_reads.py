"""Artifacts that a flow is given are opened as the kind that it needs."""

from pathlib import Path

import pytest

from gpt_core.artifact import Artifact
from gpt_core.errors import DataError
from tasks.reads import Given, Source


def test_an_artifact_is_opened_by_its_directory(
    sample_shards: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = sample_shards.directory.parent / "tokenizer"
    opened = Given(str(tokenizer), "tokenizer").read()
    assert (opened.kind, opened.directory) == ("tokenizer", tokenizer)
    monkeypatch.setenv("HOME", str(tokenizer.parent))
    assert Given("~/tokenizer", "tokenizer").read() == opened


def test_an_artifact_of_another_kind_is_refused(sample_shards: Artifact, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a shards artifact, but a checkpoint artifact"):
        Given(sample_shards.path, "checkpoint").read()
    with pytest.raises(DataError, match="is not a directory"):
        Given(str(tmp_path / "missing"), "tokenizer").read()


def test_equal_reads_are_checked_once() -> None:
    assert (
        len({Source("samples"), Source("samples", "text"), Source("samples", "instruction")}) == 2
    )
