"""Ids equal those of independent implementations."""

import unicodedata
from pathlib import Path

import pytest
import sentencepiece
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tokenizers import ByteLevelBPETokenizer
from tokenizers import Tokenizer as HuggingFaceTokenizer
from transformers import GPT2Tokenizer as TransformersTokenizer

from gpt_core.config import TokenizerConfig
from gpt_core.tokenizers import (
    BPETokenizer,
    GPT2Tokenizer,
    SentencePieceBPETokenizer,
    UnigramTokenizer,
    from_tiktoken,
    read_huggingface,
    train_bpe,
    write_gpt2_files,
    write_huggingface,
)

REAL_TEXTS = (
    "the-verdict.txt",
    "tinyshakespeare.txt",
    "unicode/UTF-8-demo.txt",
    "unicode/blns.txt",
    "arabic/tashkeela_test.txt",
)
# Libraries carry the tables of different Unicode versions, so only long assigned characters.
ASSIGNED = st.characters(exclude_categories=["Cs", "Cn"]).filter(
    lambda character: unicodedata.ucd_3_2_0.category(character) != "Cn"
)
FRAGMENTS = ["a", " the", "'s", "'LL", "12345", "?!", " ", "  ", "\n", "\r\n", "\t", "\x85", "\0",
             "قُلْ", "\u064e", "٣٤", "日本", "e\u0301", "👩", "<|endoftext|>", "▁"]  # fmt: skip
TEXTS = st.one_of(st.text(ASSIGNED), st.lists(st.sampled_from(FRAGMENTS)).map("".join))


@pytest.fixture(scope="module")
def gpt2(shared_data: Path) -> GPT2Tokenizer:
    return GPT2Tokenizer.from_release(shared_data / "gpt2")


@pytest.fixture(scope="module")
def tiktokens(shared_data: Path) -> tiktoken.Encoding:
    """tiktoken's gpt2, by its own loader from the same two files, with its own pattern."""
    ranks = data_gym_to_mergeable_bpe_ranks(
        str(shared_data / "gpt2" / "vocab.bpe"), str(shared_data / "gpt2" / "encoder.json")
    )
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    return tiktoken.Encoding(
        "reference", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|end|>": 50_256}
    )


@pytest.fixture(scope="module")
def huggingface(shared_data: Path) -> ByteLevelBPETokenizer:
    folder = shared_data / "gpt2"
    return ByteLevelBPETokenizer(str(folder / "encoder.json"), str(folder / "vocab.bpe"))


@given(text=TEXTS)
def test_gpt2_ids_equal_those_of_tiktoken_and_hugging_face(
    gpt2: GPT2Tokenizer,
    tiktokens: tiktoken.Encoding,
    huggingface: ByteLevelBPETokenizer,
    text: str,
) -> None:
    ids = gpt2.encode(text)
    assert ids == gpt2.encode_reference(text) == tiktokens.encode_ordinary(text)
    assert ids == huggingface.encode(text).ids
    assert gpt2.decode(ids) == tiktokens.decode(ids) == text


@pytest.mark.parametrize("name", REAL_TEXTS)
def test_gpt2_ids_of_real_text_equal_those_of_tiktoken_and_hugging_face(
    gpt2: GPT2Tokenizer,
    tiktokens: tiktoken.Encoding,
    huggingface: ByteLevelBPETokenizer,
    shared_data: Path,
    name: str,
) -> None:
    text = (shared_data / name).read_text(encoding="utf-8")
    ids = gpt2.encode(text)
    assert ids == tiktokens.encode_ordinary(text)
    assert ids == huggingface.encode(text).ids
    assert gpt2.decode(ids) == text


def test_gpt2s_merges_are_reconstructed_from_tiktokens_ranks(
    gpt2: GPT2Tokenizer, tiktokens: tiktoken.Encoding
) -> None:
    again = from_tiktoken(tiktokens._mergeable_ranks, tiktokens._pat_str)
    assert again.merges == gpt2.merges
    assert again.pattern == "gpt2"


@pytest.fixture(scope="module", params=["gpt2", "gpt4", "marks"])
def trained(request: pytest.FixtureRequest, shared_data: Path) -> BPETokenizer:
    """Ours, trained on a mixture of scripts with each pattern."""
    texts = [(shared_data / name).read_text(encoding="utf-8")[:200_000] for name in REAL_TEXTS]
    return train_bpe(texts, 1500, request.param)


@given(text=TEXTS)
def test_hugging_face_gives_the_same_ids_from_our_file(
    trained: BPETokenizer, tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / trained.pattern
    if not folder.exists():
        write_huggingface(trained, folder / "tokenizer.json")
    theirs = HuggingFaceTokenizer.from_file(str(folder / "tokenizer.json"))
    ids = trained.encode(text)
    assert ids == trained.encode_reference(text)
    if "<|endoftext|>" not in text:  # which Hugging Face takes for the control token
        assert ids == theirs.encode(text).ids
        assert theirs.decode(ids) == text


def test_files_saved_by_hugging_face_are_read(trained: BPETokenizer, tmp_path: Path) -> None:
    write_huggingface(trained, tmp_path / "ours.json")
    HuggingFaceTokenizer.from_file(str(tmp_path / "ours.json")).save(str(tmp_path / "theirs.json"))
    again = read_huggingface(tmp_path / "theirs.json")
    assert (again.merges, again.pattern) == (trained.merges, trained.pattern)


def test_transformers_reads_our_two_files(shared_data: Path, tmp_path: Path) -> None:
    text = (shared_data / "the-verdict.txt").read_text(encoding="utf-8")
    ours = train_bpe([text], 700, "gpt2")
    write_gpt2_files(ours, tmp_path)
    theirs = TransformersTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    assert theirs(text)["input_ids"] == ours.encode(text)


@pytest.fixture(scope="module", params=[UnigramTokenizer, SentencePieceBPETokenizer])
def piece_tokenizer(
    request: pytest.FixtureRequest, shared_data: Path
) -> UnigramTokenizer | SentencePieceBPETokenizer:
    texts = [(shared_data / name).read_text(encoding="utf-8")[:100_000] for name in REAL_TEXTS]
    kind = request.param
    made: UnigramTokenizer = kind.train(texts, TokenizerConfig(kind=kind.kind, vocab_size=2500))
    return made


@given(text=st.text().filter(lambda text: "▁" not in text and "\0" not in text))
def test_ids_of_pieces_equal_those_of_sentencepiece(
    piece_tokenizer: UnigramTokenizer, text: str
) -> None:
    theirs = sentencepiece.SentencePieceProcessor(model_proto=piece_tokenizer.model)
    ids = piece_tokenizer.encode(text)
    assert ids == theirs.encode(text)
    assert piece_tokenizer.decode(ids) == theirs.decode(ids) == text


@pytest.mark.parametrize("name", REAL_TEXTS)
def test_ids_of_real_lines_equal_those_of_sentencepiece(
    piece_tokenizer: UnigramTokenizer, shared_data: Path, name: str
) -> None:
    theirs = sentencepiece.SentencePieceProcessor(model_proto=piece_tokenizer.model)
    text = (shared_data / name).read_text(encoding="utf-8")[:200_000]
    assert piece_tokenizer.decode(piece_tokenizer.encode(text)) == text
    for line in text.splitlines(keepends=True)[:500]:
        if "▁" not in line and "\0" not in line:
            assert piece_tokenizer.encode(line) == theirs.encode(line)
