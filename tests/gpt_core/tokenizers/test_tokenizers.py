"""Every kind gives back what it was given, and never turns text into a control token."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.artifact import Artifact
from gpt_core.config import TokenizerConfig
from gpt_core.errors import ConfigError, DataError
from gpt_core.tokenizers import (
    ByteTokenizer,
    GPT2Tokenizer,
    StreamDecoder,
    Tokenizer,
    load_tokenizer,
    train_tokenizer,
    train_unigram,
)

SPECIAL_TEXTS = [
    "", " ", "  a  b ", "\n\n x\n", "▁a▁", "a\0b", "\r\n\t\x07", "日本語 é e\u0301 👩‍👧",
    "سلام <s> </s> <pad> <unk> <0x0A> <|endoftext|>",
]  # fmt: skip


def random_texts() -> list[str]:
    """Sentences of a hundred made-up words, Latin and Arabic."""
    draw = random.Random(3)
    letters = ["abcdefghij", "ابتثجحخدر"]
    words = ["".join(draw.choices(letters[i % 2], k=draw.randint(2, 6))) for i in range(100)]
    return [" ".join(draw.choices(words, k=12)) for _ in range(300)]


@pytest.fixture(scope="module", params=["byte", "unigram"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "byte":
        return ByteTokenizer()
    return train_unigram(random_texts(), TokenizerConfig(vocab_size=310))


@given(text=st.one_of(st.text(), st.sampled_from(SPECIAL_TEXTS)))
def test_what_is_encoded_decodes_to_itself(tokenizer: Tokenizer, text: str) -> None:
    token_ids = tokenizer.encode(text)
    assert tokenizer.decode(token_ids) == text
    assert not set(token_ids) & set(tokenizer.special_ids.values())
    assert all(0 <= token_id < tokenizer.vocab_size for token_id in token_ids)


@given(text=st.text())
def test_decoding_piece_by_piece_is_decoding_at_once(tokenizer: Tokenizer, text: str) -> None:
    decoder = StreamDecoder(tokenizer)
    pieces = [decoder.push(token_id) for token_id in tokenizer.encode(text)]
    assert "".join(pieces) + decoder.flush() == text


def test_a_character_is_held_back_until_it_is_whole() -> None:
    decoder = StreamDecoder(ByteTokenizer())
    assert [decoder.push(byte) for byte in "é!".encode()] == ["", "é", "!"]
    decoder.push("é".encode()[0])
    assert decoder.flush() == "\ufffd"


def test_special_ids_stand_for_no_text(tokenizer: Tokenizer) -> None:
    for token_id in tokenizer.special_ids.values():
        assert tokenizer.token_bytes(token_id) == b""
    ids = tokenizer.encode("cat")
    assert tokenizer.decode([tokenizer.eos_id, *ids, tokenizer.eos_id]) == "cat"


def test_ids_that_do_not_exist_are_refused(tokenizer: Tokenizer) -> None:
    for token_id in (-1, tokenizer.vocab_size):
        with pytest.raises(DataError, match=f"there is no token {token_id}"):
            tokenizer.decode([token_id])


def test_a_lone_surrogate_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"lone surrogate U\+D800 at character 1"):
        tokenizer.encode("a\ud800")


def test_a_saved_tokenizer_is_the_same_one(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    text = "the cat سلام 😀"
    assert again.encode(text) == tokenizer.encode(text)
    assert (again.vocab_size, again.eos_id) == (tokenizer.vocab_size, tokenizer.eos_id)


def rewrite(directory: Path, **changes: object) -> None:
    file = directory / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_damaged_tokenizer_is_refused(tmp_path: Path) -> None:
    tokenizer = train_unigram(random_texts(), TokenizerConfig(vocab_size=300))
    tokenizer.save(tmp_path)
    model = tmp_path / "unigram.model"
    flipped = bytearray(model.read_bytes())
    flipped[100] ^= 1
    model.write_bytes(flipped)
    with pytest.raises(DataError, match=r"unigram\.model is missing or was altered"):
        load_tokenizer(tmp_path)
    rewrite(tmp_path, kind="runes")
    with pytest.raises(DataError, match="there is no tokenizer kind 'runes'"):
        load_tokenizer(tmp_path)
    with pytest.raises(DataError, match="is a runes tokenizer, not byte"):
        ByteTokenizer.load(tmp_path)
    rewrite(tmp_path, version=2)
    with pytest.raises(DataError, match="has version 2, this gptflow reads version 1"):
        load_tokenizer(tmp_path)


def test_training_is_the_same_every_time_and_sees_only_the_training_part(
    corpus: Artifact, tmp_path: Path
) -> None:
    config = TokenizerConfig(vocab_size=320)
    made = [train_tokenizer(corpus, config, tmp_path / name) for name in "ab"]
    assert made[0].fingerprint == made[1].fingerprint
    assert made[0].metrics()["vocab_size"] == 320
    assert made[0].metrics()["bytes_per_token"] > 1


def test_a_vocabulary_that_the_text_does_not_support_names_the_largest(
    corpus: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"supports a vocabulary of at most \d+, tokenizer.vocab_s"):
        train_tokenizer(corpus, TokenizerConfig(vocab_size=90_000), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_fixed_vocabulary_of_another_size_is_refused(corpus: Artifact, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"tokenizer\.vocab_size is 500, but a byte tokenizer has"
    ):
        train_tokenizer(corpus, TokenizerConfig(kind="byte", vocab_size=500), tmp_path / "out")


def test_words_may_be_crossed_when_asked() -> None:
    texts = [f"{text} in the name of god" for text in random_texts()]
    plain = train_unigram(texts, TokenizerConfig(vocab_size=320))
    crossing = train_unigram(texts, TokenizerConfig(vocab_size=320, cross_words=True))
    spaces = [
        sum(b" " in tokenizer.token_bytes(i)[1:] for i in range(320))
        for tokenizer in (plain, crossing)
    ]
    assert spaces[0] == 0
    assert spaces[1] > 0
    assert crossing.decode(crossing.encode(texts[0])) == texts[0]


def test_gpt2_needs_its_files(corpus: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.directory must name the folder"):
        train_tokenizer(corpus, TokenizerConfig(kind="gpt2", vocab_size=None), tmp_path / "out")
    with pytest.raises(DataError, match=r"has neither encoder\.json nor vocab\.json"):
        GPT2Tokenizer.from_release(tmp_path)
    (tmp_path / "encoder.json").write_text('{"a": 0}')
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\na b\n")
    with pytest.raises(DataError, match="is not GPT-2's released merges"):
        GPT2Tokenizer.from_release(tmp_path)
