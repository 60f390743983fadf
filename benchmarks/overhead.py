"""Overhead of Prefect and MLflow in the training loop, against ``python -m gpt_core train``.

Run from the checkout: ``python -m benchmarks.overhead``. The same model is trained on the same
shards by both commands in turn, each time in a process of its own and with another seed, so that
nothing is answered from the cache. What is compared is the time that the training steps took,
which both write into their checkpoint: starting a flow is not part of the loop.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import ROOT, publish
from gpt_core.artifact import Artifact, read_artifact

TURNS = 5
SETTINGS = (
    "training.steps=100",
    "training.log_every=10",
    "training.eval_every=100",
    "training.sample_every=100",
    "training.save_every=100",
)


def main() -> None:
    """Train in turn, print the table and append it to the results."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        flow(home, "prepare")
        shards = newest(home / "data" / "shards")
        bare, tracked = [], []
        for seed in range(TURNS):
            settings = (*SETTINGS, f"training.seed={seed}")
            out = Path(name) / f"bare-{seed}"
            command = ["-m", "gpt_core", "train", "--shards", shards.path, "--out", str(out)]
            call([*command, *settings], home)
            bare.append(seconds_of(read_artifact(max(out.glob("step-*")))))
            flow(home, "pretrain", *settings)
            runs = newest(home / "data" / "checkpoints", "*/step-*")
            tracked.append(seconds_of(runs))
        flow(home, "down")
    ratios = [t / b for t, b in zip(tracked, bare, strict=True)]
    how = f"Preset tiny, 100 steps, the median of {TURNS} turns; a turn is one run of each command."
    publish("Overhead of Prefect and MLflow", "overhead", how, table(bare, tracked, ratios))


def table(bare: list[float], tracked: list[float], ratios: list[float]) -> list[str]:
    """Seconds of both commands and their ratio."""
    spread = f"{min(ratios) - 1:+.1%} to {max(ratios) - 1:+.1%}"
    return [
        "| command | seconds in training steps | over gpt_core | each turn | target |",
        "|---|---|---|---|---|",
        f"| `python -m gpt_core train` | {statistics.median(bare):.2f} | | | |",
        f"| `gptflow pretrain` | {statistics.median(tracked):.2f} | "
        f"{statistics.median(ratios) - 1:+.1%} | {spread} | ≤ 1 % |",
    ]


def flow(home: Path, *arguments: str) -> None:
    """Run a gptflow command."""
    call(["-m", "flows", *arguments], home)


def call(command: list[str], home: Path) -> None:
    """Run this Python with servers and artifacts of its own."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    environment = {**own, "GPTFLOW_HOME": str(home)}
    subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, check=True, capture_output=True
    )


def newest(folder: Path, pattern: str = "*") -> Artifact:
    """The artifact that was written last."""
    manifests = folder.glob(f"{pattern}/manifest.json")
    return read_artifact(max(manifests, key=lambda file: file.stat().st_mtime).parent)


def seconds_of(checkpoint: Artifact) -> float:
    """The time that the training steps took."""
    return checkpoint.metrics()["seconds"]


if __name__ == "__main__":
    main()
