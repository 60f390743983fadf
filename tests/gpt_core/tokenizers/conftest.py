"""A tokenizer of every kind, trained on the same made-up text."""

import random
from collections.abc import Callable

import pytest

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import TokenizerConfig
from gpt_core.text import SPLITS, Document, DocumentWriter
from gpt_core.tokenizers import (
    BPETokenizer,
    ByteTokenizer,
    CharacterTokenizer,
    CodePointTokenizer,
    RemappedBPETokenizer,
    SentencePieceBPETokenizer,
    Tokenizer,
    UnigramTokenizer,
    WordTokenizer,
    train_bpe,
)


@pytest.fixture(scope="session")
def made_up_texts() -> list[str]:
    """Sentences of a hundred made-up words, Latin and Arabic with vowel signs."""
    rng = random.Random(3)
    letters = ["abcdefghij", "ابتثجحخدر"]
    words = ["".join(rng.choices(letters[i % 2], k=rng.randint(2, 6))) for i in range(100)]
    words = [f"{word[:1]}\u064f{word[1:]}" if word[0] > "\u0600" else word for word in words]
    return [" ".join(rng.choices(words, k=12)) + ".\n" for _ in range(300)]


@pytest.fixture(scope="session")
def make_tokenizer(made_up_texts: list[str]) -> Callable[[str], Tokenizer]:
    """A trained tokenizer by its kind."""
    texts = made_up_texts
    made: dict[str, Callable[[], Tokenizer]] = {
        "bpe": lambda: train_bpe(texts, 400, "marks"),
        "bpe-numbered": lambda: remapped(train_bpe(texts, 400, "marks")),
        "byte": ByteTokenizer,
        "character": lambda: CharacterTokenizer.train(texts, None),
        "codepoint": lambda: CodePointTokenizer.train(texts, None),
        "sentencepiece-bpe": lambda: SentencePieceBPETokenizer.train(
            texts, TokenizerConfig(kind="sentencepiece-bpe", vocab_size=400)
        ),
        "unigram": lambda: UnigramTokenizer.train(texts, TokenizerConfig(vocab_size=310)),
        "word": lambda: WordTokenizer.train(texts, None),
    }
    return lambda kind: made[kind]()


def remapped(base: BPETokenizer) -> RemappedBPETokenizer:
    """The end of a document first, the rest in any order."""
    ids = random.Random(5).sample(range(1, base.vocab_size), base.eos_id)
    return RemappedBPETokenizer(base, ids, {"</s>": 0}, 0, base.vocab_size)


@pytest.fixture(
    scope="session", params=["bpe", "bpe-numbered", "byte", "sentencepiece-bpe", "unigram"]
)
def complete(
    request: pytest.FixtureRequest, make_tokenizer: Callable[[str], Tokenizer]
) -> Tokenizer:
    """Each kind that can write every text."""
    return make_tokenizer(request.param)


@pytest.fixture(scope="session", params=["character", "codepoint", "word"])
def partial(
    request: pytest.FixtureRequest, make_tokenizer: Callable[[str], Tokenizer]
) -> Tokenizer:
    """Each kind that can write what was in its training text."""
    return make_tokenizer(request.param)


@pytest.fixture(
    scope="session",
    params=[
        "bpe",
        "bpe-numbered",
        "byte",
        "character",
        "codepoint",
        "sentencepiece-bpe",
        "unigram",
        "word",
    ],
)
def tokenizer(
    request: pytest.FixtureRequest, make_tokenizer: Callable[[str], Tokenizer]
) -> Tokenizer:
    """Each kind that is trained or fixed; GPT-2's own needs its files."""
    return make_tokenizer(request.param)


@pytest.fixture(scope="session")
def bpe(make_tokenizer: Callable[[str], Tokenizer]) -> Tokenizer:
    """Our byte-level BPE."""
    tokenizer = make_tokenizer("bpe")
    assert isinstance(tokenizer, BPETokenizer)
    return tokenizer


_WORDS = ["قَالَ", "the", "weaver", "الكتاب", "لا", "met", "خالد", "12", "–", "so\nit", "  ", "a"]


@pytest.fixture(scope="session")
def many_groups(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A corpus of forty row groups in two files."""
    rng, folder = random.Random(), tmp_path_factory.mktemp("many")
    with new_artifact(folder / "corpus", kind="documents") as draft:
        (draft.directory / "train").mkdir()
        for number in range(2):
            with DocumentWriter(draft.directory / "train" / f"part-{number:05d}.parquet") as writer:
                for row in range(200):
                    text = " ".join(rng.choices(_WORDS, k=40)) + chr(rng.randrange(97, 120)) * 3
                    writer.write(Document(f"{number}#{row}", text, "test"))
                    if row % 10 == 9:
                        writer._flush()
        for split in SPLITS[1:]:
            with DocumentWriter(draft.directory / f"{split}.parquet"):
                pass
    return draft.artifact
