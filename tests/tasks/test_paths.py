"""Paths of the project: below the home for what runs make, in the checkout for what it ships."""

import os
import re
from pathlib import Path

import pytest

from tasks import paths


def test_the_home_is_the_checkout_unless_it_is_set(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GPTFLOW_HOME", raising=False)
    assert paths.project_root() == paths.checkout() == project_root
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path))
    assert paths.data_dir() == tmp_path / "data"
    assert paths.samples_dir() == project_root / "data" / "samples"


def test_an_artifact_is_in_the_folder_of_its_kind(home: Path) -> None:
    found = paths.artifact_dir("documents", "tiny", "0123456789abcdef")
    assert found == home / "data" / "corpora" / "tiny-0123456789ab"


def test_a_home_may_have_sources_of_its_own(home: Path, project_root: Path) -> None:
    assert paths.sources_file() == project_root / "data" / "sources.toml"
    (home / "data").mkdir()
    (home / "data" / "sources.toml").touch()
    assert paths.sources_file() == home / "data" / "sources.toml"


def test_the_newest_checkpoint_is_finished_and_visible(home: Path) -> None:
    assert paths.newest_checkpoint() is None
    folder = home / "data" / "checkpoints"
    for seconds, name in enumerate(["a-1/step-00000010", "b-2", ".hidden-3", "c-4"]):
        (folder / name).mkdir(parents=True)
        manifest = folder / name / "manifest.json"
        if not name.startswith("c"):
            manifest.touch()
            os.utime(manifest, (seconds, seconds))
    assert paths.newest_checkpoint() == folder / "b-2"
    assert paths.newest_checkpoint(lambda each: each.parent.name == "a-1") == (
        folder / "a-1" / "step-00000010"
    )
    assert paths.newest_checkpoint(lambda each: False) is None


def test_no_other_module_names_a_folder_of_the_project(project_root: Path) -> None:
    files = [*(project_root / "tasks").rglob("*.py"), *(project_root / "flows").glob("*.py")]
    found = {
        f"{file.relative_to(project_root)}: {line.strip()}"
        for file in files
        if file.name != "paths.py"
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(r"data_dir\(\) */", line)
    }
    assert not found
