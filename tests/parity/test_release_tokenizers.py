"""Vocabularies of other models of GPT-2's architecture, as Hugging Face trains and saves them."""

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.config import DecodingConfig
from gpt_core.errors import ConversionError, DataError
from gpt_core.generation import generate
from gpt_core.interop import export_huggingface, import_gpt2
from gpt_core.models import load_model
from gpt_core.tokenizers import RemappedBPETokenizer, Tokenizer, load_tokenizer

CONTROLS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
EOS, SIZE, PADDED = 2, 700, 768


@pytest.fixture(scope="module")
def release(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Arabic model with a vocabulary of its own, filled up to a multiple of 128."""
    folder = tmp_path_factory.mktemp("arabic")
    theirs = tokenizers.ByteLevelBPETokenizer()
    texts = [str(project_root / "data/samples/text/arabic.txt")]
    theirs.train(texts, vocab_size=SIZE, special_tokens=CONTROLS, show_progress=False)
    theirs.save_model(str(folder))
    theirs.save(str(folder / "tokenizer.json"))
    torch.manual_seed(4)
    config = transformers.GPT2Config(
        vocab_size=PADDED, n_positions=48, n_embd=32, n_layer=2, n_head=2,
        bos_token_id=0, eos_token_id=EOS,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["two files", "one file"])
def imported(
    request: pytest.FixtureRequest, release: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Any]:
    """The checkpoint made of the release, from either form of its vocabulary, and its artifact."""
    folder = tmp_path_factory.mktemp("form")
    names = {"two files": ("vocab.json", "merges.txt"), "one file": ("tokenizer.json",)}
    for name in ("config.json", "model.safetensors", *names[request.param]):
        (folder / name).write_bytes((release / name).read_bytes())
    checkpoint = import_gpt2(folder, folder / "checkpoint")
    return checkpoint, load_tokenizer(checkpoint.directory / "tokenizer")


@given(text=st.text())
def test_ids_equal_those_of_hugging_face(
    release: Path, imported: tuple[Any, Tokenizer], text: str
) -> None:
    if any(control in text for control in CONTROLS):
        return  # which they take for the control token, and we never do
    theirs = tokenizers.Tokenizer.from_file(str(release / "tokenizer.json"))
    ours = imported[1]
    ids = ours.encode(text)
    assert ids == theirs.encode(text).ids
    assert ours.decode(ids) == text


def test_special_ids_equal_those_of_hugging_face(imported: tuple[Any, Tokenizer]) -> None:
    ours = imported[1]
    assert isinstance(ours, RemappedBPETokenizer)
    assert ours.controls == {token: i for i, token in enumerate(CONTROLS)}
    assert (ours.eos_id, ours.vocab_size) == (EOS, PADDED)
    assert [ours.token_bytes(i) for i in (0, EOS, SIZE, PADDED - 1)] == [b""] * 4


def test_generated_text_equals_that_of_hugging_face(
    release: Path, imported: tuple[Any, Any]
) -> None:
    checkpoint, tokenizer = imported
    theirs = transformers.GPT2LMHeadModel.from_pretrained(release).eval()
    prompt = tokenizer.encode("في الصباح ذهب")
    greedy = DecodingConfig(temperature=0.0, max_new_tokens=12)
    ours = generate(load_model(checkpoint.directory), [prompt], greedy, tokenizer.eos_id)[0]
    with torch.inference_mode():
        text = theirs.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, pad_token_id=1
        )[0].tolist()
    assert ours == [i for i in text[len(prompt) :] if i != EOS]


def test_an_exported_release_has_the_same_ids(
    release: Path, imported: tuple[Any, Any], tmp_path: Path
) -> None:
    made = export_huggingface(imported[0], tmp_path / "release")
    opened = transformers.AutoTokenizer.from_pretrained(made.directory)
    theirs = tokenizers.Tokenizer.from_file(str(release / "tokenizer.json"))
    for text in ("في الصباح ذهب سعيد", "In winter, 12 😀\n\n"):
        assert opened(text)["input_ids"] == theirs.encode(text).ids
    assert opened.eos_token_id == EOS


def spoilt(release: Path, folder: Path, name: str, change: Any) -> Path:
    folder.mkdir()
    for each in ("config.json", "model.safetensors", "vocab.json", "merges.txt"):
        (folder / each).write_bytes((release / each).read_bytes())
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    change(content)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_vocabulary_that_does_not_fit_is_refused(release: Path, tmp_path: Path) -> None:
    lacking = spoilt(release, tmp_path / "a", "vocab.json", lambda v: v.pop("a"))
    with pytest.raises(DataError, match="the vocabulary lacks 'a', which its merges make"):
        import_gpt2(lacking, tmp_path / "out")
    high = spoilt(release, tmp_path / "b", "vocab.json", lambda v: v.update({"<mask>": PADDED}))
    with pytest.raises(ConversionError, match=r"has 768 tokens, but the vocabulary .* has 769"):
        import_gpt2(high, tmp_path / "out")
    twice = spoilt(release, tmp_path / "c", "vocab.json", lambda v: v.update({"<mask>": 0}))
    with pytest.raises(DataError, match="each token of a vocabulary needs one id"):
        import_gpt2(twice, tmp_path / "out")
    endless = spoilt(release, tmp_path / "d", "config.json", lambda c: c.pop("eos_token_id"))
    with pytest.raises(DataError, match="does not say which token ends a document"):
        import_gpt2(endless, tmp_path / "out")
    words = spoilt(release, tmp_path / "e", "vocab.json", lambda v: v.update({"a": "b"}))
    with pytest.raises(DataError, match="it must give each token a number"):
        import_gpt2(words, tmp_path / "out")
