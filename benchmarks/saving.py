"""How long a checkpoint pauses training, against ``torch.save`` of the same tensors.

Run from the checkout: ``python -m benchmarks.saving``. GPT-2 124M with AdamW, after one step. Ours
copies what it saves and writes the copy in a thread; ``torch.save`` writes weights and optimizer
while training waits. Both in turn, into the same folder.
"""

import shutil
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.report import in_turn, publish
from benchmarks.training import loader_of
from gpt_core.artifact import Artifact, new_artifact
from gpt_core.callbacks import Callback
from gpt_core.checkpoints import TOKENIZER
from gpt_core.config import ComputeConfig, GPTConfig, PretrainConfig, TrainingConfig
from gpt_core.execution import resolve_device
from gpt_core.execution.placement import build_layout
from gpt_core.models import build_model
from gpt_core.tokenizers import ByteTokenizer
from gpt_core.training import Trainer
from gpt_core.training.checkpoint import Snapshot
from gpt_core.training.saving import BackgroundSaver, HostCopier, PendingCheckpoint

TURNS = 5
SHAPE = GPTConfig(vocab_size=50_257)


def main() -> None:
    """Save in turn, print the table and append it to the results."""
    with tempfile.TemporaryDirectory() as name, BackgroundSaver() as saver:
        folder = Path(name)
        trainer, shards = prepared(folder)
        copier = HostCopier()
        complete: list[float] = []

        def ours() -> None:
            """Copy as a session does before the next step begins."""
            snapshot = Snapshot(
                step=1,
                weights=copier.copy(trainer.layout.weights(), "weights"),
                state=copier.copy(trainer.state(), "state"),
                config=trainer.config,
                parents=[shards],
                metrics={},
            )
            saver.start(PendingCheckpoint(folder / "run", snapshot, is_first=True))

        def wait() -> None:
            started = time.perf_counter()
            saver.wait()
            complete.append(time.perf_counter() - started)
            shutil.rmtree(folder / "run")

        def theirs() -> None:
            content = {"model": trainer.model.state_dict(), **trainer.state()}
            torch.save(content, folder / "theirs.pt")

        stalls, _, blocking = in_turn(TURNS, ours, wait, theirs)
        size = (folder / "theirs.pt").stat().st_size
    medians = statistics.median(stalls), statistics.median(blocking)
    ratio = medians[1] / medians[0]
    rows = [
        "| method | training pauses | ratio | target |",
        "|---|---|---|---|",
        f"| `torch.save`, {size / 1e9:.2f} GB | {medians[1]:.2f} s | | |",
        f"| ours, written in {statistics.median(complete):.1f} s in the background | "
        f"{medians[0]:.2f} s | {ratio:.1f} times less | ≥ 8 |",
    ]
    how = f"The median of {TURNS} turns; the file system's cache takes what both write."
    publish("Saving", "saving", how, rows)


def prepared(folder: Path) -> tuple[Trainer, Artifact]:
    """A trainer with the moments of one step, and the shards that it trains on."""
    training = TrainingConfig(tokens_per_step=1024, micro_batch=1, steps=1000)
    compute = ComputeConfig(compile="off")
    config = PretrainConfig(model=SHAPE, training=training, compute=compute)
    with new_artifact(folder / "shards", kind="shards") as draft:
        loader = loader_of(draft.directory, SHAPE, batch=1)
        ByteTokenizer().save(draft.directory / TOKENIZER)
    device = resolve_device("auto")
    layout = build_layout(build_model(SHAPE, seed=0).train(), device, config.compute)
    trainer = Trainer(layout, config, loader, None, Callback())
    trainer.train_step()
    return trainer, draft.artifact


if __name__ == "__main__":
    main()
