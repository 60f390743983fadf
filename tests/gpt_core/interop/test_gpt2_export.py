from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from gpt_core.artifact import Artifact, verify
from gpt_core.checkpoints import read_description
from gpt_core.config import TokenizerConfig
from gpt_core.errors import CheckpointError, ConversionError
from gpt_core.files import read_json, write_json
from gpt_core.interop import export_huggingface
from gpt_core.interop.model_card import model_card
from gpt_core.interop.tokenizer_export import export_tokenizer
from gpt_core.tokenizers import ByteTokenizer, UnigramTokenizer, load_tokenizer

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


def test_the_card_says_which_texts_have_other_ids(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    checkpoint = make_checkpoint()
    texts = [f"the word {n} and the number {n * n}" for n in range(60)]
    unigram = UnigramTokenizer.train(texts, TokenizerConfig(vocab_size=290))
    card = model_card(checkpoint, read_description(checkpoint.directory).model, unigram)
    assert "U+2581 (`\u2581`), which it reads as a space; to the spelling of a byte" in card
    card = model_card(checkpoint, read_description(checkpoint.directory).model, ByteTokenizer())
    assert "U+2581" not in card
    assert "gives other ids to the spelling of a special token" in card
    export_tokenizer(unigram, tmp_path, 10)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for text, equal in {
        "the 1": True,
        "a\u2581b": False,
        "<0x41>": False,
        "a < 0x41 >": True,
    }.items():
        assert (theirs.encode(text) == unigram.encode(text)) is equal, text
