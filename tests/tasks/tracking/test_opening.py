"""A run is closed as what it was, and one that was interrupted is opened again."""

from pathlib import Path

import pytest

from gpt_core.errors import DataError
from tasks.tracking import client
from tasks.tracking.opening import open_run
from tasks.tracking.store import experiment_id


def create() -> str:
    return str(client().create_run(experiment_id(), run_name="one").info.run_id)


def test_a_run_ends_as_its_block_does_and_an_interrupted_one_is_resumed(
    home: Path, tmp_path: Path
) -> None:
    described: list[str] = []
    remembered = tmp_path / "run.json"

    def opened(error: BaseException | None, **settings: str) -> str:
        with open_run(create, described.append, {"n": "1"}, remembered, settings) as run_id:
            if error is not None:
                raise error
        return run_id

    with pytest.raises(DataError, match="wrong"):
        opened(DataError("wrong file"), a="1")
    [first] = described
    run = client().get_run(first)
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "wrong file")
    with pytest.raises(KeyboardInterrupt):
        opened(KeyboardInterrupt(), a="1")
    assert described == [first]
    assert client().get_run(first).info.status == "KILLED"
    assert opened(None, a="1") == first
    run = client().get_run(first)
    assert run.info.status == "FINISHED"
    assert "error" not in run.data.tags
    assert opened(None, a="2") != first
