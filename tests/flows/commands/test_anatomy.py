"""A sentence is followed through a model of any kind, and becomes a page once."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from anatomy_models import write_model

from gpt_core.errors import DataError


def test_the_newest_checkpoint_is_dissected(home: Path, planned: Callable[..., list[str]]) -> None:
    with pytest.raises(DataError, match="there is no checkpoint yet"):
        planned("anatomy")
    write_model(home / "data" / "checkpoints" / "model")
    assert planned("anatomy", "anatomy.text=abc") == ["dissect"]


def test_a_page_is_made_once_and_recorded_with_its_pictures(
    shared_cli: Any, tmp_path: Path
) -> None:
    model = str(write_model(tmp_path / "model").directory)
    classifier = write_model(tmp_path / "spam", kind="classifier", labels=("ham", "spam"))
    command = ["anatomy", "--checkpoint", model, "a b = c", "name=seen"]
    mistakes = [
        (["anatomy", "--checkpoint", model, ""], "anatomy.text is empty"),
        (["anatomy", "--checkpoint", model, "a", "b"], "one text is expected, put it in quotes"),
        (["anatomy", "--checkpoint", model, "x" * 99], "99 tokens and the model's context holds"),
        (["anatomy", "--checkpoint", str(tmp_path), "a"], "has no manifest.json"),
    ]
    spam = ["anatomy", f"checkpoint={classifier.directory}", "anatomy.text=free prize"]
    found = shared_cli.run_several([command, command, spam, *(each for each, _ in mistakes)])
    first, again, other, *refused = found
    assert [first.code, again.code, other.code] == [0, 0, 0], [first, again, other]
    assert "✓ dissect (there already)" in again.out
    for answer, (_, message) in zip(refused, mistakes, strict=True):
        assert message in answer.user_error()
    path = re.search(r"(\S+anatomy\.html)", first.out)
    assert path is not None
    page = Path(path[1]).read_text(encoding="utf-8")
    assert "a b = c" in page
    assert "def explicit_attention" in re.sub(r"<[^>]+>", "", page)
    _check_records(shared_cli, page)


def _check_records(cli: Any, page: str) -> None:
    """MLflow has the page and the pictures, Prefect a page that links them."""
    store = cli.mlflow_client()
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    (run,) = store.search_runs(
        experiments, "tags.stage = 'dissect' and params.text = 'a b = c'", max_results=1
    )
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    assert (folder / "anatomy.html").read_text(encoding="utf-8") == page
    pictures = {file.stem for file in (folder / "figures/").glob("*.png")}
    assert {"attention", "lens", "stream", "decoding", "training"} <= pictures
    pages = cli.ask_prefect("artifacts", {"artifacts": {"key": {"any_": ["anatomy-page"]}}})
    assert "anatomy.html" in json.dumps([each["data"] for each in pages])
