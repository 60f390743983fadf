"""``gptflow compare`` shows what differs between recorded runs, and nothing else."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from flows import comparison
from flows.comparison import compare_runs, metrics_table, samples_table, settings_table
from gpt_core.errors import ConfigError
from tasks.tracking import RecordedRun


def run(name: str, **changes: Any) -> RecordedRun:
    curves = pd.DataFrame({"step": [1, 2], "train/loss": [3.0, 2.5]})
    samples = pd.DataFrame(
        {"step": [1, 2], "prompt": ["In", "In"], "text": [" spring", " winter [b]"]}
    )
    parts = {
        "run_id": name.replace(" ", ""),
        "experiment": "1",
        "params": {"training.steps": "2"},
        "metrics": {"stage/pretrain/loss": 2.5},
        "curves": curves,
        "samples": samples,
    }
    return RecordedRun(name=name, **{**parts, **changes})


RUNS = [
    run("a 111111"),
    run(
        "b 222222",
        params={"training.steps": "2", "optimizer.kind": "muon"},
        metrics={"stage/pretrain/loss": 1.25, "result/test_loss": 1.5},
        samples=pd.DataFrame(),
    ),
]


def test_only_settings_that_differ_are_shown() -> None:
    rows = settings_table(RUNS)
    assert rows.to_numpy().tolist() == [["optimizer.kind", "", "muon"]]
    assert list(rows.columns) == ["setting", "a 111111", "b 222222"]


def test_what_matters_comes_first_of_the_metrics() -> None:
    assert metrics_table(RUNS).to_numpy().tolist() == [
        ["result/test_loss", "", "1.5"],
        ["stage/pretrain/loss", "2.5", "1.25"],
    ]


def test_of_the_samples_the_last_of_a_prompt_is_shown() -> None:
    assert samples_table(RUNS).to_numpy().tolist() == [["In", " winter [b]", ""]]


def test_the_comparison_is_printed_and_drawn(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = dict(zip("ab", RUNS, strict=True))
    monkeypatch.setattr(comparison, "read_run", by_name.__getitem__)
    console = Console(record=True, width=200)
    compare_runs(["a", "b"], console)
    printed = console.export_text()
    assert "optimizer.kind" in printed
    assert "winter [b]" in printed, "samples are no markup"
    (plot,) = (home / "data" / "reports").glob("*.png")
    assert plot.name == "compare-111111-222222.png"
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_one_run_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match="at least two runs"):
        compare_runs(["a"], Console())


def test_recorded_runs_are_compared(shared_cli: Any, small: list[str]) -> None:
    for name in ("one", "two"):
        # Not the default: artifacts are named after the run that makes them first, and other tests
        # of this home look for those of ``small``.
        answer = shared_cli.run("prepare", *small, f"name={name}", "cleaning.min_characters=2")
        assert answer.code == 0, answer.out + answer.err
    answer, missing = shared_cli.run_several([["compare", "one", "two"], ["compare", "one", "no"]])
    assert answer.code == 0, answer.err
    assert "stage/encode_corpus/train_tokens" in answer.out
    assert "MLflow has no run with the name or id no" in missing.user_error()
