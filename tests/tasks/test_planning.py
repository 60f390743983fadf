"""A plan answers for stages from the cache, without running anything."""

from pathlib import Path

import pytest

from gpt_core.artifact import Artifact
from gpt_core.config import (
    CleaningConfig,
    GPT2ImportConfig,
    LaunchConfig,
    PretrainConfig,
    ReadingConfig,
    RunConfig,
    TokenizerConfig,
)
from tasks import stages
from tasks.caching import stage_key
from tasks.paths import artifact_dir
from tasks.planning import PendingArtifact, artifacts_in, current_plan, planning
from tasks.tracking import tracked_flow

SHARDS = Artifact(kind="shards", path="here", fingerprint="a")
CONFIG = PretrainConfig()


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "mine.txt"
    file.write_text("\n\n".join(f"Document number {n} has words." for n in range(60)))
    return file


def states(name: str, source: Path) -> list[tuple[str, str]]:
    with planning(name) as plan:
        corpus = stages.clean_corpus(
            stages.fetch_corpus(str(source)), ReadingConfig(), CleaningConfig()
        )
        stages.train_tokenizer(corpus, TokenizerConfig(kind="byte", vocab_size=None))
    return [(stage.name, stage.state) for stage in plan.stages]


def test_a_stage_that_has_not_run_is_pending_and_so_is_what_depends_on_it(
    prefect_home: Path, text: Path
) -> None:
    assert states("small", text) == [("clean_corpus", "to do"), ("train_tokenizer", "to do")]
    assert not (prefect_home / "data").exists()


def test_a_cached_stage_is_done_whatever_the_run_is_called(prefect_home: Path, text: Path) -> None:
    with tracked_flow("clean", RunConfig(name="small"), {}):
        made = stages.clean_corpus(
            stages.fetch_corpus(str(text)), ReadingConfig(), CleaningConfig()
        )
    assert states("other", text) == [("clean_corpus", "done"), ("train_tokenizer", "to do")]
    with planning("small") as plan:
        raw = stages.fetch_corpus(str(text))
        assert stages.clean_corpus(raw, ReadingConfig(), CleaningConfig()) == made
    assert plan.stages[0].done
    assert current_plan() is None


@pytest.mark.parametrize(
    ("steps", "state"),
    [([], "to do"), ([300], "begun, step 300"), ([90, 1000], "begun, step 1000")],
)
def test_an_interrupted_pretraining_has_begun(home: Path, steps: list[int], state: str) -> None:
    key = stage_key(stages.pretrain.spec, SHARDS, CONFIG)
    for step in steps:
        folder = artifact_dir("checkpoint", "small", key) / f"step-{step:08}"
        folder.mkdir(parents=True)
        (folder / "manifest.json").touch()
    with planning("small") as plan:
        assert isinstance(stages.pretrain(SHARDS, CONFIG, LaunchConfig()), PendingArtifact)
    assert plan.stages[0].state == state


def test_a_missing_source_is_a_download_of_known_size(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "sources.toml").write_text(
        '[mill]\ntitle = "The Mill"\nfile = "mill.txt"\nlicence = "ours"\n'
        'url = "http://127.0.0.1:9/mill.txt"\nsha256 = "0"\nbytes = 3200\n'
    )
    with planning("small") as plan:
        stages.fetch_corpus("mill")
        stages.import_gpt2(stages.fetch_gpt2(GPT2ImportConfig(size="124M")))
    assert [(stage.name, stage.state, stage.done) for stage in plan.stages] == [
        ("fetch mill", "to fetch, 3,200 bytes", False),
        ("fetch openai-community/gpt2", "to fetch", False),
        ("import_gpt2", "to do", False),
    ]


def test_artifacts_are_found_in_lists_and_dictionaries() -> None:
    assert artifacts_in((CONFIG, [SHARDS], {"text": SHARDS}, "samples")) == [SHARDS, SHARDS]
