from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, verify
from gpt_core.errors import CheckpointError, ConversionError
from gpt_core.files import read_json, write_json
from gpt_core.interop import export_huggingface
from gpt_core.tokenizers import ByteTokenizer, load_tokenizer

MakeCheckpoint = Callable[..., Artifact]


def test_a_release_is_an_intact_artifact_with_its_parent(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    checkpoint = make_checkpoint(dropout=0.1)
    events: list[tuple[str, int, int | None]] = []
    release = export_huggingface(
        checkpoint, tmp_path / "release", progress=lambda *event: events.append(event)
    )
    verify(release)
    assert release.kind == "release"
    assert list(release.manifest().parents.values()) == [checkpoint.fingerprint]
    assert events[-1] == ("tensors", 28, 28)
    settings = read_json(release.directory / "config.json")
    assert settings["resid_pdrop"] == 0.1
    assert settings["eos_token_id"] == 256
    assert isinstance(load_tokenizer(release.directory / "tokenizer"), ByteTokenizer)


def test_a_model_without_biases_cannot_be_exported(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match="has no biases"):
        export_huggingface(make_checkpoint(bias=False), tmp_path / "release")
    assert not (tmp_path / "release").exists()


def test_a_classifier_is_not_exported_as_a_language_model(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    checkpoint = make_checkpoint()
    file = checkpoint.directory / "config.json"
    write_json(file, {**read_json(file), "kind": "classifier", "labels": ["a", "b"]})
    with pytest.raises(CheckpointError, match="is a classifier"):
        export_huggingface(checkpoint, tmp_path / "release")
