"""Hybrid sharding (HSDP): shards within a node, replicas across nodes, with two torchrun agents."""

import shutil
from pathlib import Path

import pytest
from curves import assert_alike

from gpt_core.artifact import read_artifact

AVERAGED, HYBRID = "training.ema_decay=0.9", "launch.strategy=hsdp"


@pytest.mark.long
@pytest.mark.soak
def test_two_nodes_of_two_processes_train_the_model_of_one_and_resume_any_layout(  # type: ignore[no-untyped-def]
    run, tmp_path: Path
) -> None:
    one = run(tmp_path / "one", AVERAGED)
    replicas = run(tmp_path / "ddp", AVERAGED, "launch.strategy=ddp", processes=2, nodes=2)
    hybrid = run(tmp_path / "hybrid", AVERAGED, HYBRID, processes=2, nodes=2)
    assert_alike(replicas, hybrid, 1e-5)
    assert_alike(one, hybrid, 1e-5)
    saved = read_artifact(hybrid / "step-00000024", "checkpoint").directory / "training_state"
    sizes = [file.stat().st_size for file in saved.iterdir()]
    assert sum(sizes) < 1.1 * state_bytes(hybrid), "each shard is saved once, not once a node"

    resumed = begin(hybrid, tmp_path / "to-one")
    assert_alike(one, run(resumed, AVERAGED), 1e-5)
    resumed = begin(one, tmp_path / "from-one")
    assert_alike(one, run(resumed, AVERAGED, HYBRID, processes=2, nodes=2), 1e-5)
    resumed = begin(hybrid, tmp_path / "same")
    run(resumed, AVERAGED, HYBRID, processes=2, nodes=2)
    weights = [out / "step-00000024/model.safetensors" for out in (hybrid, resumed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def state_bytes(out: Path) -> int:
    """The bytes of AdamW's two moments and the average, in the precision of the weights."""
    return 3 * (out / "step-00000024/model.safetensors").stat().st_size


def begin(origin: Path, out: Path) -> Path:
    """A run that stopped after step 16 of another."""
    shutil.copytree(origin / "step-00000016", out / "step-00000016")
    shutil.copy(origin / "metrics.jsonl", out)
    return out
