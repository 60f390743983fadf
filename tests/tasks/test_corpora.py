"""Training a tokenizer says which parts of a large corpus it was trained on."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpt_core import tokenizers
from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import EngineConfig, TokenizerConfig
from gpt_core.text import SPLITS, Document, DocumentWriter
from tasks import stages


def write_corpus(folder: Path) -> Artifact:
    with new_artifact(folder, kind="documents") as draft:
        for split in SPLITS:
            with DocumentWriter(draft.directory / f"{split}.parquet") as writer:
                for row in range(4 if split == "train" else 1):
                    writer.write(Document(f"{row}", "a word " * 400, "test"))
                    writer._flush()
    return draft.artifact


def test_several_parts_are_a_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notices: list[str] = []
    display = SimpleNamespace(notice=notices.append)
    corpus = write_corpus(tmp_path / "corpus")
    config, engine = TokenizerConfig(kind="word", vocab_size=None), EngineConfig(workers=1)
    for part_bytes, said in ((1 << 20, []), (1, ["counted 4 distinct pieces of 4 documents in 4"])):
        train = partial(tokenizers.train_tokenizer, part_bytes=part_bytes)
        monkeypatch.setattr("gpt_core.tokenizers.train_tokenizer", train)
        out = tmp_path / f"{part_bytes}"
        run = cast(Any, SimpleNamespace(out_dir=out, progress=None, display=display))
        made = stages.train_tokenizer._function(run, corpus, config, engine)
        assert made.directory == out
        assert notices == [f"The tokenizer {each} parts." for each in said]
