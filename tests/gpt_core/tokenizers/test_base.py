"""Every kind round-trips text and never encodes text as a control token."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.errors import DataError
from gpt_core.tokenizers import (
    ByteTokenizer,
    CodePointTokenizer,
    StreamDecoder,
    Tokenizer,
    first_difference,
    load_tokenizer,
)

TRICKY = [
    " ", "  ", "\n\n", "\r\n", "\t", "\0", "\x07", "\x1c", "\x85", "\u2028", "▁", "▁▁", "\u2585",
    "\u2047", "\ufeff", "\ufffd", "\uffff", "\U0010ffff", "<s>", "</s>", "<pad>", "<unk>", "<0x0A>",
    "<|endoftext|>", "a", "Z", "9", "'ll", "é", "e\u0301", "قُلْ", "ـ", "٣", "日本",
    "👩\u200d👧", "\u200f",
]  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(TRICKY)).map("".join))


@given(text=TEXTS)
def test_decoding_inverts_encoding(complete: Tokenizer, text: str) -> None:
    token_ids = complete.encode(text)
    assert complete.decode(token_ids) == text
    assert not set(token_ids) & set(complete.special_ids.values())
    assert all(0 <= token_id < complete.vocab_size for token_id in token_ids)


@given(text=TEXTS)
def test_only_unknown_units_are_lost(partial: Tokenizer, text: str) -> None:
    token_ids = partial.encode(text)
    assert partial.eos_id not in token_ids
    assert (partial.decode(token_ids) == text) == (partial.unk_id not in token_ids) or (
        "\ufffd" in text  # which is also what decoding writes for a lost unit
    )


def test_the_training_text_round_trips(tokenizer: Tokenizer, made_up_texts: list[str]) -> None:
    encoded = tokenizer.encode_batch(made_up_texts)
    arrays = [tokenizer.encode_array(text) for text in made_up_texts]
    assert [array.tolist() for array in arrays] == encoded
    assert [tokenizer.decode(token_ids) for token_ids in encoded] == made_up_texts


@pytest.mark.parametrize("text", ["<s>", "</s>", "<0x0A>", "<unk>", "<|endoftext|>", "[PAD]"])
def test_text_that_spells_a_control_token_is_encoded_as_text(
    complete: Tokenizer, text: str
) -> None:
    token_ids = complete.encode(f"a{text}b")
    assert complete.decode(token_ids) == f"a{text}b"
    assert not set(token_ids) & set(complete.special_ids.values())
    assert len(token_ids) > 3


@given(text=TEXTS)
def test_streaming_a_text_gives_the_text(complete: Tokenizer, text: str) -> None:
    decoder = StreamDecoder(complete)
    pieces = [decoder.push(token_id) for token_id in complete.encode(text)]
    assert "".join(pieces) + decoder.flush() == text


@given(data=st.data())
def test_streaming_any_ids_equals_decoding_them(tokenizer: Tokenizer, data: st.DataObject) -> None:
    some_id = st.integers(0, tokenizer.vocab_size - 1)
    token_ids = data.draw(st.lists(some_id))
    decoder = StreamDecoder(tokenizer)
    pieces = [decoder.push(token_id) for token_id in token_ids]
    assert "".join(pieces) + decoder.flush() == tokenizer.decode(token_ids)


@pytest.mark.parametrize("character", ["é", "ق", "日", "👩"])
def test_an_incomplete_character_is_buffered(character: str) -> None:
    decoder = StreamDecoder(ByteTokenizer())
    *first, last = ByteTokenizer().encode(character)
    assert [decoder.push(byte) for byte in first] == [""] * len(first)
    assert decoder.push(last) == character
    decoder.push(first[0])
    assert decoder.flush() == "\ufffd"


def test_special_ids_decode_to_nothing(tokenizer: Tokenizer, made_up_texts: list[str]) -> None:
    silent = {i for name, i in tokenizer.special_ids.items() if name != "unk"}
    assert silent
    assert {tokenizer.token_bytes(token_id) for token_id in silent} == {b""}
    ids = tokenizer.encode(made_up_texts[0])
    assert tokenizer.decode([tokenizer.eos_id, *ids, tokenizer.eos_id]) == made_up_texts[0]


def test_special_ids_are_properties(tokenizer: Tokenizer) -> None:
    ids = tokenizer.special_ids
    assert (tokenizer.eos_id, tokenizer.bos_id, tokenizer.unk_id) == (
        ids["eos"],
        ids.get("bos"),
        ids.get("unk"),
    )
    assert tokenizer.pad_id == ids.get("pad", ids["eos"])


@pytest.mark.parametrize("offset", [-1, 0, 1000])
def test_undefined_ids_are_refused(tokenizer: Tokenizer, offset: int) -> None:
    token_id = -1 if offset < 0 else tokenizer.vocab_size + offset
    last = tokenizer.vocab_size - 1
    with pytest.raises(DataError, match=f"no token {token_id}: .* ids are 0 to {last}"):
        tokenizer.decode([token_id])
    with pytest.raises(DataError, match=f"no token {token_id}"):
        StreamDecoder(tokenizer).push(token_id)


def test_a_lone_surrogate_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"lone surrogate U\+D800 at character 1"):
        tokenizer.encode("a\ud800")
    with pytest.raises(DataError, match=r"lone surrogate U\+DFFF at character 0"):
        tokenizer.encode_batch(["fine", "\udfff"])


def test_a_saved_tokenizer_loads_with_the_same_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    text = "the cat سلام 😀\n"
    again = load_tokenizer(tmp_path)
    assert type(again) is type(tokenizer)
    assert again.encode(text) == tokenizer.encode(text)
    assert again.special_ids == tokenizer.special_ids
    assert again.vocab_size == tokenizer.vocab_size


def test_saving_twice_writes_the_same_bytes(tokenizer: Tokenizer, tmp_path: Path) -> None:
    for name in ("a", "b"):
        tokenizer.save(tmp_path / name)
    files = [sorted(file.name for file in (tmp_path / name).iterdir()) for name in ("a", "b")]
    assert files[0] == files[1]
    for name in files[0]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_flipped_bit_is_detected(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    for file in sorted(tmp_path.iterdir()):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with pytest.raises(DataError, match=str(tmp_path)):
            load_tokenizer(tmp_path)
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    assert load_tokenizer(tmp_path).vocab_size == tokenizer.vocab_size


def test_a_missing_file_is_named(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    if tokenizer.file_name is not None:
        (tmp_path / tokenizer.file_name).unlink()
        with pytest.raises(DataError, match=f"{tokenizer.file_name} is missing or was altered"):
            load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"tokenizer\.json does not exist"):
        load_tokenizer(tmp_path)


def rewrite(directory: Path, **changes: object) -> None:
    file = directory / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_an_altered_description_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    rewrite(tmp_path, vocab_size=tokenizer.vocab_size + 1)
    with pytest.raises(DataError, match="its vocab_size or specials are not those"):
        load_tokenizer(tmp_path)
    rewrite(tmp_path, kind="runes")
    with pytest.raises(DataError, match="there is no tokenizer kind 'runes'"):
        load_tokenizer(tmp_path)
    with pytest.raises(DataError, match="is a runes tokenizer, not"):
        type(tokenizer).load(tmp_path)
    rewrite(tmp_path, version=2)
    with pytest.raises(DataError, match="has version 2, this gptflow reads version 1"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(DataError, match="has version None"):
        load_tokenizer(tmp_path)


def test_tokens_have_distinct_bytes(tokenizer: Tokenizer) -> None:
    silent = set(tokenizer.special_ids.values())
    units = [tokenizer.token_bytes(i) for i in range(tokenizer.vocab_size) if i not in silent]
    assert all(units)
    if tokenizer.kind not in ("unigram", "sentencepiece-bpe"):  # whose bytes also stand for letters
        assert all(a != b for a, b in pairwise(sorted(units)))


def test_first_difference_names_the_size_or_the_first_token() -> None:
    ours = CodePointTokenizer(["a", "b", "c"])
    assert first_difference(ours, CodePointTokenizer(["a", "b", "c"])) is None
    assert first_difference(ours, CodePointTokenizer(["a", "b"])) == "5 and 4 tokens"
    assert first_difference(ours, CodePointTokenizer(["a", "x", "y"])) == "token 1 is not the same"
    assert first_difference(ours, CodePointTokenizer(["x", "b", "c"])) == "token 0 is not the same"
