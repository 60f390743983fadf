"""Stages in a flow: context, labels, ignored parameters, verified inputs and checked types."""

import subprocess
import sys
from pathlib import Path

import pytest
from prefect import flow, task

from gpt_core.artifact import Artifact
from gpt_core.config import (
    CleaningConfig,
    LaunchConfig,
    PretrainConfig,
    ReadingConfig,
    RunConfig,
    TokenizerConfig,
)
from gpt_core.errors import DataError
from tasks import stages
from tasks.progress import Display, current_display, use_display
from tasks.specs import StageSpec
from tasks.stage import Stage, StageRun, labelled, stage
from tasks.tracking import client, current_flow, tracked_flow
from tasks.tracking.store import experiment_id

CALLS = """
from gpt_core.artifact import Artifact
from gpt_core.config import CleaningConfig, ReadingConfig, TokenizerConfig
from tasks import stages


def right(raw: Artifact) -> Artifact:
    corpus = stages.clean_corpus(raw, ReadingConfig(), CleaningConfig())
    return stages.train_tokenizer(corpus, config=TokenizerConfig())


def wrong(raw: Artifact) -> None:
    stages.clean_corpus(raw, CleaningConfig(), CleaningConfig())  # LINE
    stages.clean_corpus(raw, ReadingConfig())  # LINE
    stages.train_tokenizer(raw, TokenizerConfig(), raw)  # LINE
    stages.fetch_corpus("samples", "texts")  # LINE
    number: int = stages.import_gpt2(raw)  # LINE
"""


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "mine.txt"
    file.write_text("\n\n".join(f"Document number {n} has words." for n in range(60)))
    return file


def clean(text: Path) -> Artifact:
    raw = stages.fetch_corpus(str(text))
    return stages.clean_corpus(raw, ReadingConfig(), CleaningConfig())


def run_names(stage_name: str) -> list[str]:
    runs = client().search_runs([experiment_id()], f"tags.stage = '{stage_name}'")
    return [run.info.run_name for run in runs]


@pytest.mark.long
def test_mypy_finds_every_wrong_argument_of_a_stage(project_root: Path, tmp_path: Path) -> None:
    snippet = tmp_path / "calls.py"
    snippet.write_text(CALLS)
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", "pyproject.toml", snippet],
        cwd=project_root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    expected = [n for n, line in enumerate(CALLS.splitlines(), 1) if line.endswith("# LINE")]
    errors = [
        line for line in answer.stdout.splitlines() if "calls.py" in line and "error:" in line
    ]
    assert [int(line.split(":")[1]) for line in errors] == expected, answer.stdout + answer.stderr


def test_the_context_of_a_flow_reaches_its_tasks(prefect_home: Path) -> None:
    class Named(Display):
        pass

    @task(timeout_seconds=60)
    def look() -> tuple[str, str]:
        return current_flow().name, type(current_display()).__name__

    @flow
    def looking() -> tuple[str, str]:
        with tracked_flow("look", RunConfig(name="small"), {}):
            return look()

    with use_display(Named()):
        assert looking() == ("small", "Named")


def test_a_stage_outside_a_flow_says_where_it_runs(prefect_home: Path, text: Path) -> None:
    with pytest.raises(RuntimeError, match="a stage runs in a flow"):
        clean(text)


def test_the_flow_records_its_stages_made_or_cached(prefect_home: Path, text: Path) -> None:
    for name in ("first", "second"):
        with tracked_flow(name, RunConfig(name="small"), {}) as record:
            corpus = clean(text)
        run = client().get_run(record.run_id)
        assert run.data.tags["artifact.clean_corpus"] == corpus.path
        expected = {f"stage/clean_corpus/{name}": value for name, value in corpus.metrics().items()}
        assert run.data.metrics == pytest.approx(expected)
    assert run_names("clean_corpus") == ["clean_corpus small"]


def test_a_label_tells_runs_of_one_stage_apart(prefect_home: Path, text: Path) -> None:
    with tracked_flow("labels", RunConfig(name="small"), {}) as record, labelled("one"):
        corpus = clean(text)
    run = client().get_run(record.run_id)
    assert run.data.tags["artifact.clean_corpus.one"] == corpus.path
    assert not run.data.metrics, "several runs of a stage would overwrite each other's"
    assert run_names("clean_corpus") == ["clean_corpus one"]


def test_an_altered_input_is_refused(prefect_home: Path, text: Path) -> None:
    byte = TokenizerConfig(kind="byte", vocab_size=None)
    with (
        pytest.raises(DataError, match=r"train\.parquet was altered since it was written"),
        tracked_flow("altered", RunConfig(name="small"), {}),
    ):
        corpus = clean(text)
        file = corpus.directory / "train.parquet"
        file.write_bytes(file.read_bytes()[::-1])
        stages.train_tokenizer(corpus, byte)


def test_ignored_parameters_are_no_part_of_what_a_result_depends_on() -> None:
    shards, config = Artifact(kind="shards", path="here", fingerprint="a"), PretrainConfig()
    alone = stages.pretrain.inputs(shards, config, LaunchConfig())
    assert alone == stages.pretrain.inputs(shards, config, LaunchConfig(processes=2))
    assert alone == (shards, config)


def test_a_parameter_that_is_ignored_must_exist() -> None:
    def clean_corpus(run: StageRun, raw: Artifact) -> Artifact:
        return raw

    spec = StageSpec("clean_corpus", "text", "documents")
    with pytest.raises(ValueError, match="stage clean_corpus has no parameter launch"):
        Stage(clean_corpus, spec, days=1, resumable=False, ignore=("launch",), metrics_prefix="")


def test_a_stage_must_have_the_name_of_a_core_function() -> None:
    with pytest.raises(ValueError, match=r"stage tidy: gpt_core\.text does not export it"):

        @stage(package="text", kind="documents")
        def tidy(run: StageRun, raw: Artifact) -> Artifact:
            return raw
