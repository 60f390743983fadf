"""Loss after a number of tokens: tiny Shakespeare in nanoGPT's configuration for a CPU.

Run from the checkout: ``python -m benchmarks.efficiency``. The model, the batch, the split (the
first nine tenths of the characters are trained on) and the number of iterations are nanoGPT's;
optimizer, schedule and initialization are the preset's. Every number is the loss on the whole
validation split.
"""

import statistics
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import DATA, publish
from gpt_core.callbacks import Callback
from gpt_core.config import PretrainConfig, load_config
from gpt_core.data import Batch, ShardReader, ShardWriter, TokenLoader, sequential_batches
from gpt_core.execution.placement import build_layout
from gpt_core.models import build_model
from gpt_core.training import Trainer

SEEDS = (1, 2, 3)
ITERATIONS, THIRD = 2000, 667
PUBLISHED = 1.88  # nanoGPT's README, after 2,000 iterations of this configuration
RECIPES = {
    "nanoGPT's recipe in our loop: AdamW": [
        "optimizer.kind=adamw", "optimizer.learning_rate=1e-3", "optimizer.beta2=0.99",
        "training.zero_init=false",
    ],
    "the preset's: Muon, residual projections from zero": [],
}  # fmt: skip


def main() -> None:
    """Train each recipe with each seed, print the table and append it to the results."""
    rows = [
        "| recipe | loss after 667 iterations | after 2,000 | each seed | target |",
        "|---|---|---|---|---|",
        f"| nanoGPT, as published | | {PUBLISHED} | | |",
    ]
    with tempfile.TemporaryDirectory() as name:
        n_characters = write_characters(Path(name))
        for recipe, settings in RECIPES.items():
            short, full = (
                [trained(Path(name), n_characters, settings, seed, steps) for seed in SEEDS]
                for steps in (THIRD, ITERATIONS)
            )
            each = ", ".join(f"{loss:.3f}" for loss in full)
            target = "" if settings else f"≤ {PUBLISHED} and ≤ 1.72"
            rows.append(
                f"| {recipe} | {statistics.mean(short):.3f} | {statistics.mean(full):.3f} | {each} "
                f"| {target} |"
            )
    how = (
        "4 layers, 128 wide, T = 64, B = 12, 65 characters; mean of 3 seeds; each number of "
        "iterations is a run of its own."
    )
    publish("Token efficiency", "efficiency", how, rows)


def write_characters(folder: Path) -> int:
    """Write nanoGPT's two splits of tiny Shakespeare and return the number of its characters."""
    text = (DATA / "tinyshakespeare.txt").read_text(encoding="utf-8")
    characters = sorted(set(text))
    ids = {character: i for i, character in enumerate(characters)}
    numbers = np.array([ids[character] for character in text], np.uint16)
    end = int(0.9 * len(numbers))
    for split, part in (("train", numbers[:end]), ("validation", numbers[end:])):
        (folder / split).mkdir()
        with ShardWriter(
            folder / split / "part-00000.parquet",
            vocab_size=len(characters), eos_id=len(characters) - 1, tokenizer_fingerprint="none",
        ) as writer:  # fmt: skip
            writer.write(part)
    return len(characters)


def trained(folder: Path, n_characters: int, recipe: list[str], seed: int, steps: int) -> float:
    """Train once and return the validation loss."""
    settings = [*recipe, f"training.steps={steps}", f"training.log_every={steps}"]
    trainer, losses = prepared("shakespeare-char", folder, n_characters, settings, seed)
    for _ in range(steps):
        trainer.train_step()
    trainer.evaluate()
    return losses.loss


def prepared(
    preset: str, folder: Path, n_characters: int, settings: list[str], seed: int
) -> tuple[Trainer, "LossKeeper"]:
    """Build a preset's trainer on the characters, and the callback that keeps its losses."""
    own = [f"model.vocab_size={n_characters}", f"training.seed={seed}", f"loader.seed={seed}"]
    config = load_config(preset, settings=[*settings, *own]).pretrain
    model = build_model(config.model, seed, zero_residual=config.training.zero_init).train()
    loader = TokenLoader(
        ShardReader(folder, "train"),
        context_length=config.model.context_length,
        batch_size=config.training.micro_batch,
        config=config.loader,
    )
    held_out = ShardReader(folder, "validation")
    losses = LossKeeper()
    layout = build_layout(model, torch.device("cpu"), config.compute)
    return Trainer(layout, config, loader, lambda: batches(held_out, config), losses), losses


def batches(reader: ShardReader, config: PretrainConfig) -> Iterator[Batch]:
    """Batches of the whole validation split."""
    return sequential_batches(reader, config.model.context_length, 64)


class LossKeeper(Callback):
    """Keeps the newest validation loss."""

    loss = float("nan")

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the validation loss."""
        self.loss = metrics.get("validation/loss", self.loss)


if __name__ == "__main__":
    main()
