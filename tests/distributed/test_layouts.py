"""DDP and FSDP train the model that one process trains, and resume each other's checkpoints."""

import shutil
from pathlib import Path

import pytest
from curves import assert_alike

from gpt_core.artifact import read_artifact, verify

AVERAGED = "training.ema_decay=0.9"
LAYOUTS = {"one": 1, "ddp": 2, "fsdp": 2}


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


def test_sharded_state_is_saved_as_safetensors(trained: dict[str, Path]) -> None:
    checkpoint = read_artifact(trained["fsdp"] / "step-00000024", "checkpoint")
    verify(checkpoint)
    shards = sorted((checkpoint.directory / "training_state").iterdir())
    assert [file.suffix for file in shards] == [".safetensors"] * 2
    assert abs(shards[0].stat().st_size - shards[1].stat().st_size) < 20_000, "about half each"
    left = {file.name for file in trained["fsdp"].iterdir()}
    assert left == {
        "metrics.jsonl", "samples.jsonl", "run.lock", "run.pid",
        "step-00000008", "step-00000016", "step-00000024",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("begun", "ended"),
    [
        ("one", "fsdp"),
        ("fsdp", "fsdp"),
        # The long form has dropout for ddp, and the way back from fsdp reads what fsdp reads.
        pytest.param("fsdp", "one", marks=[pytest.mark.long, pytest.mark.soak]),
        pytest.param("ddp", "ddp", marks=[pytest.mark.long, pytest.mark.soak]),
    ],
)
def test_any_layout_resumes_the_checkpoint_of_any_other(  # type: ignore[no-untyped-def]
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


@pytest.mark.long
def test_muon_orthogonalizes_sharded_matrices_as_full_ones(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    muon = "optimizer.kind=muon"
    one = run(tmp_path / "one", muon)
    sharded = run(tmp_path / "fsdp", muon, "launch.strategy=fsdp", processes=2)
    assert_alike(one, sharded, 2e-3)  # the iteration may be in bf16, which enlarges differences


@pytest.mark.long
def test_a_resumed_ddp_run_with_dropout_has_the_same_bits(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    dropout, settings = "model.dropout=0.2", ["launch.strategy=ddp"]
    whole = run(tmp_path / "whole", dropout, *settings, processes=2)
    again = tmp_path / "again"
    shutil.copytree(whole / "step-00000008", again / "step-00000008")
    run(again, dropout, *settings, processes=2)
    weights = [folder / "step-00000024/model.safetensors" for folder in (whole, again)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
