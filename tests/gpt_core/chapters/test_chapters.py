"""Chapters of every kind of checkpoint, and sentences that cannot be followed."""

from pathlib import Path

import pytest
import torch
from anatomy_models import ARABIC, ENGLISH, LAYER, adapter, small_bpe, write_model

from gpt_core.chapters import dissect, open_subject, read_sentence, show_all
from gpt_core.config import AnatomyConfig, CleaningConfig
from gpt_core.errors import CheckpointError, DataError
from gpt_core.files import read_json
from gpt_core.tokenizers import CharacterTokenizer

PLAIN = CleaningConfig()
GENERAL = {
    "cleaning", "tokens", "windows", "embeddings", "attention", "skeleton", "norms", "neurons",
    "stream", "training", "names",
}  # fmt: skip


def test_a_language_model_has_thirteen_chapters(tmp_path: Path) -> None:
    checkpoint = write_model(tmp_path / "model", tokenizer=small_bpe())
    report = dissect(checkpoint, AnatomyConfig(text=ENGLISH), PLAIN, tmp_path / "report")
    chapters = read_json(report.directory / "report.json")["chapters"]
    assert set(chapters) == GENERAL | {"lens", "decoding"}
    assert report.kind == "report"
    pieces = chapters["tokens"]["merging"]
    for piece in pieces:
        assert piece["steps"][-1]
        assert len(piece["steps"][0]) >= len(piece["steps"][-1])
    assert "".join(token for piece in pieces for token in piece["steps"][-1]) == ENGLISH.replace(
        " ", "␣"
    )


def test_a_classifier_has_occlusion_in_place_of_predictions(tmp_path: Path) -> None:
    checkpoint = write_model(tmp_path / "model", kind="classifier", labels=("ham", "spam"))
    subject = open_subject(checkpoint.directory, "free prize now", PLAIN)
    chapters = show_all(subject, AnatomyConfig())
    assert set(chapters) == GENERAL | {"classification"}
    found = chapters["classification"]
    assert found["words"] == ["free", "␣prize", "␣now"]
    assert subject.classifier is not None
    ids = list(subject.sentence.token_ids)
    without = [*ids[:4], *ids[10:]]  # bytes: "free" and " now"
    with torch.no_grad():
        expected = subject.classifier(torch.tensor([ids]), torch.tensor([len(ids)]))
        expected -= subject.classifier(torch.tensor([without]), torch.tensor([len(without)]))
    torch.testing.assert_close(
        torch.tensor(found["changes"][1]),
        expected[0],
        atol=1e-5,
        rtol=0,  # type: ignore[index]
    )


def test_a_prompt_is_masked_up_to_the_answer(tmp_path: Path) -> None:
    checkpoint = write_model(
        tmp_path / "model", kind="instruction", template="short", context_length=128
    )
    chapters = show_all(open_subject(checkpoint.directory, "Say yes", PLAIN), AnatomyConfig())
    assert set(chapters) == GENERAL | {"lens", "decoding", "instruction"}
    found = chapters["instruction"]
    prompt = "### Instruction:\nSay yes\n\n### Response:\n"
    assert isinstance(found["losses"], list)
    masked = [loss is None for loss in found["losses"]]
    assert masked.index(False) == len(prompt.encode()) - 1
    assert not any(masked[masked.index(False) :])


def test_an_adapter_shows_the_spectrum_of_its_update(tmp_path: Path) -> None:
    checkpoint = write_model(tmp_path / "model", rank=4)
    subject = open_subject(checkpoint.directory, "abc", PLAIN)
    chapters = show_all(subject, AnatomyConfig(new_tokens=2))
    assert set(chapters) == GENERAL | {"lens", "decoding", "low_rank"}
    a, b = adapter(4).values()
    whole = 8 / 4 * b.double() @ a.double()
    (update,) = chapters["low_rank"]["updates"]  # type: ignore[misc]
    expected = torch.linalg.svdvals(whole)[:4].tolist()
    assert update["values"] == pytest.approx(expected, abs=1e-5)
    assert update["norm"] == pytest.approx(float(whole.norm()), abs=1e-5)
    assert update["layer"] == LAYER
    weight = subject.model.h[0].attn.c_attn.weight  # type: ignore[union-attr]
    assert update["weight_norm"] == pytest.approx(float(weight.detach().norm()), abs=1e-5)


def test_the_default_sentence_is_one_that_the_model_wrote(tmp_path: Path) -> None:
    checkpoint = write_model(tmp_path / "run" / "step-1", context_length=64)
    row = '{"step": 1, "prompt": "In winter", "text": " it snowed for a day\\nor two"}\n'
    (tmp_path / "run" / "samples.jsonl").write_text(row)
    assert read_sentence(checkpoint.directory, None, PLAIN).raw == (
        "In winter it snowed for a day or two"
    )


def test_an_arabic_sentence_is_read_without_its_marks(tmp_path: Path) -> None:
    checkpoint = write_model(tmp_path / "model", tokenizer=small_bpe())
    sentence = read_sentence(checkpoint.directory, ARABIC, PLAIN)
    assert sentence.cleaned == "في الصباح ذهب سعيد إلى السوق"
    assert sentence.starts == 1


@pytest.mark.parametrize("length", [1, 47, 48])
def test_a_sentence_may_fill_the_context(tmp_path: Path, length: int) -> None:
    checkpoint = write_model(tmp_path / "model")
    subject = open_subject(checkpoint.directory, "x" * length, PLAIN)
    assert len(subject.sentence.token_ids) == min(length + 1, 48)
    assert set(show_all(subject, AnatomyConfig(new_tokens=2))) == GENERAL | {"lens", "decoding"}


def test_what_cannot_be_followed_is_one_sentence(tmp_path: Path) -> None:
    checkpoint = write_model(tmp_path / "model").directory
    with pytest.raises(DataError, match="49 tokens and the model's context holds 48"):
        read_sentence(checkpoint, "x" * 49, PLAIN)
    with pytest.raises(DataError, match="nothing is left of the text"):
        read_sentence(checkpoint, "\u200f", PLAIN)
    letters = CharacterTokenizer(sorted("abc "))
    other = write_model(tmp_path / "letters", tokenizer=letters).directory
    with pytest.raises(DataError, match="character tokenizer has no token for 'z'"):
        read_sentence(other, "abz", PLAIN)
    with pytest.raises(CheckpointError, match="not a checkpoint of gptflow"):
        read_sentence(tmp_path, "abc", PLAIN)
