"""The way of an artifact back to the raw files, from the manifests alone."""

import shutil
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact
from tasks.lineage import StageRunInfo, trace


def make(directory: Path, kind: str, *parents: Artifact) -> Artifact:
    with new_artifact(directory, kind=kind, config={"of": kind}, parents=parents) as draft:
        (draft.directory / "content").write_text(directory.name)
        if kind == "raw":
            draft.info["sha256"] = {"a.txt": "0f" * 32}
        draft.metrics["size"] = 2.0
    return draft.artifact


def no_run(fingerprint: str) -> None:
    return None


@pytest.fixture
def shards(home: Path) -> Artifact:
    data = home / "data"
    raw = make(data / "raw" / "mine", "raw")
    corpus = make(data / "corpora" / "mine", "documents", raw)
    tokenizer = make(data / "tokenizers" / "mine", "tokenizer", corpus)
    return make(data / "shards" / "mine", "shards", corpus, tokenizer)


def test_an_artifact_is_followed_back_to_the_raw_files(shards: Artifact) -> None:
    lineage = trace(shards, no_run)
    corpus, tokenizer = lineage.parents
    assert lineage.name == "shards:mine"
    assert [parent.name for parent in lineage.parents] == ["documents:mine", "tokenizer:mine"]
    assert tokenizer.parents == (corpus,)
    assert corpus.config == {"of": "documents"}
    assert corpus.metrics == {"size": 2.0}
    (raw,) = corpus.parents
    assert (raw.raw_files, raw.parents) == ({"a.txt": "0f" * 32}, ())


def test_each_step_has_the_run_that_made_it(shards: Artifact) -> None:
    run = StageRunInfo(run_id="r1", stage="encode_corpus", commit="", started="2026-11-26T00:00")
    lineage = trace(shards, lambda made: run if made == shards.fingerprint else None)
    assert lineage.run == run
    assert lineage.parents[0].run is None


def test_an_input_that_was_moved_is_found_by_its_fingerprint(shards: Artifact, home: Path) -> None:
    (home / "data" / "corpora" / "mine").rename(home / "data" / "corpora" / "other")
    corpus = trace(shards, no_run).parents[0]
    assert corpus.path == str(home / "data" / "corpora" / "other")


def test_an_input_that_was_deleted_or_damaged_ends_the_way(shards: Artifact, home: Path) -> None:
    shutil.rmtree(home / "data" / "tokenizers" / "mine")
    (home / "data" / "corpora" / "mine" / "manifest.json").write_text("{")
    corpus, tokenizer = trace(shards, no_run).parents
    assert (corpus.path, tokenizer.path) == (None, None)
    assert (corpus.name, tokenizer.name) == ("documents:mine", "tokenizer:mine")
    assert corpus.fingerprint
    assert corpus.parents == ()
