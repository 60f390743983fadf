"""``AutoTokenizer`` gives the same ids and text from an exported tokenizer."""

from pathlib import Path
from typing import Any

import pytest

from gpt_core.config import TokenizerConfig
from gpt_core.interop.tokenizer_export import export_tokenizer
from gpt_core.tokenizers import (
    ByteTokenizer,
    CharacterTokenizer,
    CodePointTokenizer,
    SentencePieceBPETokenizer,
    Tokenizer,
    UnigramTokenizer,
    WordTokenizer,
    train_bpe,
)

tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")
SAMPLES = ("arabic.txt", "english.txt")


@pytest.fixture(scope="module")
def texts(project_root: Path) -> list[str]:
    folder = project_root / "data" / "samples" / "text"
    return [(folder / name).read_text("utf-8")[:60_000] for name in SAMPLES]


def trained(kind: str, texts: list[str]) -> Tokenizer:
    config = TokenizerConfig(vocab_size=700)
    made: dict[str, Any] = {
        "bpe": lambda: train_bpe(texts, 700, "marks"),
        "byte": ByteTokenizer,
        "character": lambda: CharacterTokenizer.train(texts, None),
        "codepoint": lambda: CodePointTokenizer.train(texts, None),
        "sentencepiece-bpe": lambda: SentencePieceBPETokenizer.train(texts, config),
        "unigram": lambda: UnigramTokenizer.train(texts, config),
        "word": lambda: WordTokenizer.train(texts, 600),
    }
    tokenizer: Tokenizer = made[kind]()
    return tokenizer


@pytest.mark.parametrize(
    "kind", ["bpe", "byte", "character", "codepoint", "sentencepiece-bpe", "unigram", "word"]
)
def test_autotokenizer_gives_the_same_ids_and_texts(
    kind: str, texts: list[str], tmp_path: Path
) -> None:
    ours = trained(kind, texts)
    export_tokenizer(ours, tmp_path, 128)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert (theirs.eos_token_id, theirs.model_max_length) == (ours.eos_id, 128)
    assert theirs.bos_token_id == ours.special_ids.get("bos", ours.eos_id)
    assert len(theirs) == ours.vocab_size
    assert (
        tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")).decode([ours.eos_id]) == ""
    )
    lines = [line for text in texts for line in text.splitlines() if line][:400]
    lines += ["  two  spaces ", "tab\there", "a\n\nb", " ", "new: 日本 👩\u200d👦 é"]
    for line in lines:
        ids = ours.encode(line)
        assert theirs(line, add_special_tokens=False)["input_ids"] == ids
        if ours.unk_id is None or ours.unk_id not in ids:
            assert theirs.decode(ids) == line
