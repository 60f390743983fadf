"""SentencePiece trains silently and deterministically, on any text."""

import random
import re
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.config import TokenizerConfig
from gpt_core.errors import DataError
from gpt_core.tokenizers import SentencePieceBPETokenizer, UnigramTokenizer
from gpt_core.tokenizers.sentence_piece import SentencePieceTokenizer, _cut

KINDS = (SentencePieceBPETokenizer, UnigramTokenizer)


def config_of(kind: type[SentencePieceTokenizer], **settings: object) -> TokenizerConfig:
    return TokenizerConfig(kind=kind.kind, **{"vocab_size": 320, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_special_ids_equal_the_references(
    kind: type[SentencePieceTokenizer], made_up_texts: list[str]
) -> None:
    tokenizer = kind.train(made_up_texts, config_of(kind))
    assert tokenizer.special_ids == {"pad": 0, "unk": 1, "bos": 2, "eos": 3}
    assert tokenizer.vocab_size == 320


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_deterministic(
    kind: type[SentencePieceTokenizer], made_up_texts: list[str]
) -> None:
    config = config_of(kind, max_sentences=150)  # of 300, so that a sample is drawn
    models = {kind.train(made_up_texts, config).model for _ in range(3)}
    assert len(models) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_training_prints_nothing(
    kind: type[SentencePieceTokenizer],
    made_up_texts: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    kind.train([*made_up_texts, "x" * 10_000, "a\0b", "\u2585"], config_of(kind))
    assert capfd.readouterr() == ("", "")


def test_another_process_trains_the_same_model(made_up_texts: list[str]) -> None:
    script = (
        "import sys, hashlib; from gpt_core.config import TokenizerConfig; "
        "from gpt_core.tokenizers import UnigramTokenizer; "
        "texts = sys.stdin.buffer.read().decode().split('|'); "
        "made = UnigramTokenizer.train(texts, TokenizerConfig(vocab_size=320)); "
        "sys.stdout.buffer.write(made.model)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        input="|".join(made_up_texts).encode(),
        capture_output=True,
        check=True,
    )
    here = UnigramTokenizer.train(made_up_texts, config_of(UnigramTokenizer))
    assert answer.stdout == here.model
    assert answer.stderr == b""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [["ab ab ba"], ["a" * 5_000], ["سلام عليكم"]])
def test_too_large_a_vocabulary_names_the_largest(
    kind: type[SentencePieceTokenizer], texts: list[str]
) -> None:
    with pytest.raises(DataError, match=r"at most \d+, tokenizer.vocab_size is 5000: ") as error:
        kind.train(texts, config_of(kind, vocab_size=5000))
    largest = int(re.findall(r"at most (\d+)", str(error.value))[0])
    made = kind.train(texts, config_of(kind, vocab_size=largest))
    assert made.vocab_size == largest


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [[], [""], ["\n\n", "\0"]])
def test_training_on_no_text_is_refused(
    kind: type[SentencePieceTokenizer], texts: list[str]
) -> None:
    with pytest.raises(DataError, match="no text in the training split"):
        kind.train(texts, config_of(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_too_small_a_vocabulary_names_the_smallest(kind: type[SentencePieceTokenizer]) -> None:
    text = " ".join(chr(0x4E00 + i) for i in range(2000))
    with pytest.raises(
        DataError, match=r"need a vocabulary of at least (\d+), .* is 320: "
    ) as error:
        kind.train([text], config_of(kind, character_coverage=1.0))
    smallest = int(re.findall(r"at least (\d+)", str(error.value))[0])
    made = kind.train([text], config_of(kind, character_coverage=1.0, vocab_size=smallest))
    assert made.vocab_size == smallest


def test_pieces_span_words_with_cross_words(made_up_texts: list[str]) -> None:
    texts = [f"{text.strip()} in the name of god" for text in made_up_texts]
    spaces = []
    for cross_words in (False, True):
        config = config_of(UnigramTokenizer, cross_words=cross_words)
        made = UnigramTokenizer.train(texts, config)
        spaces.append(sum(b" " in made.token_bytes(i)[1:] for i in range(320)))
        assert made.decode(made.encode(texts[0])) == texts[0]
    assert spaces[0] == 0
    assert spaces[1] > 0


def test_every_setting_changes_the_model(made_up_texts: list[str]) -> None:
    texts = [f"{text} {number}" for number, text in enumerate(made_up_texts, start=100)]
    for settings in (
        {"max_piece_length": 3},
        {"split_digits": True},
        {"seed_pieces": 400},
        {"shrinking_factor": 0.5},
        {"em_steps": 7},
    ):
        plain = UnigramTokenizer.train(texts, config_of(UnigramTokenizer))
        other = UnigramTokenizer.train(texts, config_of(UnigramTokenizer, **settings))
        assert other.model != plain.model, settings
    short = UnigramTokenizer.train(texts, config_of(UnigramTokenizer, max_piece_length=3))
    assert max(len(short.token_bytes(i).decode("utf-8", "replace")) for i in range(320)) == 3


def test_a_huge_line_is_trained_on_and_encoded() -> None:
    rng = random.Random(9)
    words = ["".join(rng.choices("abcdef", k=5)) for _ in range(60)]
    line = " ".join(rng.choices(words, k=100_000))
    made = UnigramTokenizer.train([line], config_of(UnigramTokenizer, vocab_size=320))
    assert made.decode(made.encode(line)) == line
    assert len(made.encode(line)) < len(line) / 2


@given(line=st.text("ab  c", max_size=60), width=st.integers(1, 12))
def test_cutting_a_line_is_lossless_and_prefers_spaces(line: str, width: int) -> None:
    parts = list(_cut(line, width))
    assert "".join(parts) == line
    assert all(len(part) <= width for part in parts)
    for before, part in pairwise(parts):
        assert part.startswith(" ") or " " not in before[1:] + part[:1]


@pytest.mark.parametrize("kind", KINDS)
def test_characters_that_sentencepiece_replaces_or_drops_are_encoded_as_bytes(
    kind: type[SentencePieceTokenizer], made_up_texts: list[str]
) -> None:
    tokenizer = kind.train(made_up_texts, config_of(kind))
    pieces = {piece: i for i, (piece, _) in enumerate(tokenizer.scored_pieces())}
    assert tokenizer.encode("\0") == [pieces["<0x00>"]]
    assert tokenizer.encode("\u2581") == [pieces[f"<0x{byte:02X}>"] for byte in (0xE2, 0x96, 0x81)]
    for text in ("a\u2581b", "\u2581 \u2581", "a\0\0b", "a \u2581\0"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
