"""A stage runs again if, and only if, something that it depends on has changed."""

import json
from pathlib import Path

import grimp
import pytest
from prefect import flow

from gpt_core.artifact import Artifact, new_artifact, read_artifact
from gpt_core.config import CleaningConfig, ReadingConfig, RunConfig
from tasks.caching import (
    cached_artifact,
    core_imports,
    discard_damaged,
    results_dir,
    source_files,
    stage_key,
)
from tasks.specs import STAGES
from tasks.stages import clean_corpus, fetch_corpus
from tasks.tracking import client, tracked_flow
from tasks.tracking.store import experiment_id

PACKAGES = ("text", "tokenizers", "data", "interop", "evaluation", "training", "finetuning")


@flow(name="clean")
def cleaning_flow(source: str, cleaning: CleaningConfig) -> Artifact:
    with tracked_flow("clean", RunConfig(name="small"), {}):
        return clean_corpus(fetch_corpus(source), ReadingConfig(), cleaning)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "mine.txt"
    file.write_text("\n\n".join(f"Document number {n} has words." for n in range(60)))
    return file


def times_run() -> int:
    runs = client().search_runs([experiment_id()], "tags.stage = 'clean_corpus'")
    return len(runs)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_stage_depends_on_every_module_that_its_package_imports(
    project_root: Path, package: str
) -> None:
    graph = grimp.build_graph("gpt_core")
    needed = graph.find_upstream_modules(f"gpt_core.{package}", as_package=True)
    choosing = {"gpt_core.config.presets", "gpt_core.config.loading"}
    hashed = {
        ".".join(file.relative_to(project_root).with_suffix("").parts).removesuffix(".__init__")
        for file in source_files(package)
    }
    assert needed - choosing - {"gpt_core"} <= hashed


def test_cleaning_does_not_depend_on_training() -> None:
    packages = {file.parent.name for file in source_files("text")}
    assert not packages & {"training", "finetuning", "models"}


def test_evaluation_does_not_depend_on_pretraining() -> None:
    packages = {
        file.parent.name for file in source_files(STAGES["evaluate_language_model"].package)
    }
    assert packages >= {"models", "execution"}
    assert "training" not in packages


def test_the_key_changes_with_settings_and_inputs_and_nothing_else() -> None:
    raw = Artifact(kind="raw", path="here", fingerprint="a")
    moved = Artifact(kind="raw", path="there", fingerprint="a")
    other = Artifact(kind="raw", path="here", fingerprint="b")
    plain, strict = CleaningConfig(), CleaningConfig(min_characters=5)
    key = stage_key(STAGES["clean_corpus"], raw, plain)
    assert stage_key(STAGES["clean_corpus"], moved, plain) == key
    assert len({key, stage_key(STAGES["clean_corpus"], other, plain)}) == 2
    assert len({key, stage_key(STAGES["clean_corpus"], raw, strict)}) == 2
    assert len({key, stage_key(STAGES["train_tokenizer"], raw, plain)}) == 2


def test_an_unchanged_stage_runs_once(prefect_home: Path, text: Path) -> None:
    made = cleaning_flow(str(text), CleaningConfig())
    again = cleaning_flow(str(text), CleaningConfig())
    assert again == made
    assert times_run() == 1
    assert made.directory.parent == prefect_home / "data" / "corpora"
    raw = read_artifact(next((prefect_home / "data" / "raw").iterdir()), "raw")
    found = cached_artifact(
        stage_key(STAGES["clean_corpus"], raw, ReadingConfig(), CleaningConfig(), None)
    )
    assert found == made  # so a plan says what a run will do


def test_a_changed_setting_or_text_runs_the_stage_again(prefect_home: Path, text: Path) -> None:
    first = cleaning_flow(str(text), CleaningConfig())
    second = cleaning_flow(str(text), CleaningConfig(min_characters=2))
    text.write_text(text.read_text() + "\n\nOne more document.")
    third = cleaning_flow(str(text), CleaningConfig())
    assert len({first.path, second.path, third.path}) == 3
    assert times_run() == 3


@pytest.mark.parametrize("damage", ["deleted", "cut short", "record spoilt"])
def test_a_damaged_result_is_made_again(prefect_home: Path, text: Path, damage: str) -> None:
    made = cleaning_flow(str(text), CleaningConfig())
    if damage == "deleted":
        for file in made.directory.iterdir():
            file.unlink()
    elif damage == "cut short":
        file = made.directory / "train.parquet"
        file.write_bytes(file.read_bytes()[:-1])
    else:
        for file in results_dir().iterdir():
            file.write_text("{")
    again = cleaning_flow(str(text), CleaningConfig())
    assert read_artifact(again.directory, "documents") == made
    assert times_run() == 2


def test_imports_of_the_core_are_found_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        '"""import gpt_core.optim in a docstring is none."""\n'
        "import gpt_core.text.rules\nfrom gpt_core import data, errors\nimport torch\n"
        "def f():\n    try:\n        from gpt_core.models.gpt import GPT\n"
        "    except ImportError:\n        from gpt_core import files\n"
    )
    assert core_imports(file) == {"text", "data", "errors", "models", "files"}


def test_only_a_damaged_record_is_discarded(prefect_home: Path, text: Path) -> None:
    made = cleaning_flow(str(text), CleaningConfig())
    [record] = results_dir().iterdir()
    discard_damaged(record.name)
    assert cached_artifact(record.name) == made
    (made.directory / "manifest.json").unlink()
    assert cached_artifact(record.name) is None
    assert record.is_file(), "a look into the cache deletes nothing"
    discard_damaged(record.name)
    assert not record.is_file()
    discard_damaged(record.name)


@pytest.mark.parametrize("incomplete", [True, False])
def test_a_result_that_is_marked_incomplete_is_made_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, incomplete: bool
) -> None:
    monkeypatch.setattr("tasks.caching.results_dir", lambda: home)
    with new_artifact(home / "data" / "reports" / "judged", kind="report") as draft:
        draft.info["incomplete"] = incomplete
    record = home / "key"
    data = {"data": {"path": "data/reports/judged"}}
    record.write_text(json.dumps({"result": json.dumps(data)}), encoding="utf-8")
    assert (cached_artifact("key") is None) == incomplete
    discard_damaged("key")
    assert record.is_file() != incomplete
