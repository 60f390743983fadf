"""A model is evaluated on held-out text; that there is some is checked before training."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.commands.evaluate import require_held_out
from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import load_config
from gpt_core.errors import DataError
from tasks.planning import PendingArtifact

Planned = Callable[..., list[str]]
PREPARING = ["clean_corpus", "train_tokenizer", "encode_corpus"]


def test_the_text_is_prepared_for_a_given_model_too(planned: Planned, checkpoint: str) -> None:
    assert planned("evaluate") == [*PREPARING, "pretrain", "evaluate_language_model"]
    assert planned("evaluate", f"checkpoint={checkpoint}") == [
        *PREPARING, "evaluate_language_model"
    ]  # fmt: skip


def shards_with(folder: Path, **n_tokens: int) -> Artifact:
    with new_artifact(folder, kind="shards") as draft:
        draft.info["n_tokens"] = n_tokens
    return draft.artifact


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    shards = shards_with(tmp_path / "shards", train=9, validation=4, test=0)
    validation = load_config(settings=["evaluation.split=validation"])
    require_held_out(shards, validation)
    with pytest.raises(DataError, match="no document of samples fell into the test part"):
        require_held_out(shards, load_config(settings=["evaluation.split=test"]))


def test_shards_that_are_not_made_yet_are_not_opened() -> None:
    require_held_out(PendingArtifact(kind="shards"), load_config())
    assert PendingArtifact(kind="shards").path == ""
