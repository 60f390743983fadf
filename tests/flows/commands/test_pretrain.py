"""A model is pretrained on token shards, which are prepared first."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.errors import DataError

Planned = Callable[..., list[str]]
PREPARING = ["clean_corpus", "train_tokenizer", "encode_corpus"]


def test_shards_are_prepared_first(planned: Planned) -> None:
    assert planned("pretrain") == [*PREPARING, "pretrain"]


def test_a_given_checkpoint_is_not_pretrained_again(planned: Planned, checkpoint: str) -> None:
    assert planned("pretrain", f"checkpoint={checkpoint}") == [*PREPARING, "pretrain"]
    assert "pretrain" not in planned("release", f"checkpoint={checkpoint}")


def test_a_directory_without_a_checkpoint_is_refused(planned: Planned, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a finished artifact"):
        planned("release", f"checkpoint={tmp_path}")
