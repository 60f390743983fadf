"""Replicas and shares train the model that one process trains, and go on with each other's work."""

import shutil
from pathlib import Path

import pytest

from gpt_core.artifact import read_artifact, verify
from gpt_core.callbacks import read_records

AVERAGED = "training.ema_decay=0.9"
LAYOUTS = {"one": 1, "ddp": 2, "fsdp": 2}


def curve(out: Path, name: str) -> dict[int, float]:
    return {row["step"]: row[name] for row in read_records(out / "metrics.jsonl") if name in row}


def assert_alike(one: Path, other: Path, tolerance: float) -> None:
    for name in ("train/loss", "validation/loss", "train/grad_norm", "train/update_ratio"):
        expected = curve(one, name)
        assert curve(other, name) == pytest.approx(expected, abs=tolerance), name
    assert len(curve(one, "train/loss")) == 24
    assert len(curve(one, "validation/loss")) == 3


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:  # type: ignore[no-untyped-def]
    """The same run in each layout."""
    folder = tmp_path_factory.mktemp("trained")
    return {
        name: run(folder / name, AVERAGED, *strategy(name), processes=processes)
        for name, processes in LAYOUTS.items()
    }


def strategy(layout: str) -> list[str]:
    return [] if layout == "one" else [f"launch.strategy={layout}"]


@pytest.mark.parametrize("layout", ["ddp", "fsdp"])
def test_losses_are_those_of_one_process(trained: dict[str, Path], layout: str) -> None:
    assert_alike(trained["one"], trained[layout], 1e-5)


def test_shares_are_saved_without_a_pickle(trained: dict[str, Path]) -> None:
    checkpoint = read_artifact(trained["fsdp"] / "step-00000024", "checkpoint")
    verify(checkpoint)
    shares = sorted((checkpoint.directory / "training_state").iterdir())
    assert [file.suffix for file in shares] == [".safetensors"] * 2
    assert abs(shares[0].stat().st_size - shares[1].stat().st_size) < 20_000, "about half each"
    left = {file.name for file in trained["fsdp"].iterdir()}
    assert left == {
        "metrics.jsonl", "samples.jsonl", "run.lock", "run.pid",
        "step-00000008", "step-00000016", "step-00000024",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("begun", "ended"),
    [("one", "fsdp"), ("fsdp", "one"), ("fsdp", "fsdp"), ("ddp", "ddp")],
)
def test_any_layout_goes_on_with_what_another_has_saved(  # type: ignore[no-untyped-def]
    trained: dict[str, Path], run, tmp_path: Path, begun: str, ended: str
) -> None:
    shutil.copytree(trained[begun] / "step-00000016", tmp_path / "step-00000016")
    rows = (trained[begun] / "metrics.jsonl").read_text(encoding="utf-8")
    (tmp_path / "metrics.jsonl").write_text(rows, encoding="utf-8")
    run(tmp_path, AVERAGED, *strategy(ended), processes=LAYOUTS[ended])
    assert_alike(trained["one"], tmp_path, 1e-5)
    if begun == ended:
        weights = [
            folder / "step-00000024/model.safetensors" for folder in (trained[begun], tmp_path)
        ]
        assert weights[0].read_bytes() == weights[1].read_bytes()


def test_muon_straightens_shares_as_it_does_whole_matrices(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    muon = "optimizer.kind=muon"
    one = run(tmp_path / "one", muon)
    shared = run(tmp_path / "fsdp", muon, "launch.strategy=fsdp", processes=2)
    assert_alike(one, shared, 2e-3)  # the iteration may be in bf16, which enlarges differences


def test_the_same_bits_with_dropout_after_a_stop(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    dropout, settings = "model.dropout=0.2", ["launch.strategy=ddp"]
    whole = run(tmp_path / "whole", dropout, *settings, processes=2)
    again = tmp_path / "again"
    shutil.copytree(whole / "step-00000008", again / "step-00000008")
    run(again, dropout, *settings, processes=2)
    weights = [folder / "step-00000024/model.safetensors" for folder in (whole, again)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
