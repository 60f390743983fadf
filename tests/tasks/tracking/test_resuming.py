"""An interrupted process leaves its MLflow run to the next one, and to one process only."""

from pathlib import Path

import pytest

from tasks.tracking.resuming import run_file


def test_an_interrupted_run_is_remembered_and_a_finished_one_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "running" / "pretrain.json"
    with pytest.raises(KeyboardInterrupt), run_file(path) as file:
        assert file.read({"steps": "5"}) is None
        file.write("run-1", {"steps": "5"})
        raise KeyboardInterrupt
    with run_file(path) as file:
        assert file.read({"steps": "5"}) == "run-1"
    assert list(path.parent.iterdir()) == []


def test_a_run_with_other_settings_is_not_resumed(tmp_path: Path) -> None:
    with run_file(tmp_path / "run.json") as file:
        file.write("run-1", {"steps": "5"})
        assert file.read({"steps": "6"}) is None
        assert file.read(None) is None


def test_a_run_that_another_process_records_to_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with run_file(path) as first:
        first.write("run-1", None)
        with run_file(path) as second:
            assert second.read(None) is None
            second.write("run-2", None)
        assert first.read(None) == "run-1"
    with run_file(path) as third:
        assert third.read(None) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run_id": "run-1"}'])
def test_a_damaged_file_is_a_new_run(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with run_file(tmp_path / "run.json") as file:
        assert file.read(None) is None


def test_without_a_path_nothing_is_remembered() -> None:
    with run_file(None) as file:
        file.write("run-1", None)
        assert file.read(None) is None
