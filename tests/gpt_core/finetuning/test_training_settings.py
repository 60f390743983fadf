"""Settings of training: accumulation, the choice of the epoch, patience, long texts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from gpt_core.artifact import Artifact
from gpt_core.checkpoints import read_description
from gpt_core.config import ClassificationConfig, GPTConfig, InstructionConfig, LoRAConfig
from gpt_core.errors import ConfigError, DataError
from gpt_core.finetuning import evaluate_classifier, finetune_classifier, finetune_instructions
from gpt_core.finetuning.best import BestEpoch
from gpt_core.finetuning.divergence import DivergenceWatch
from gpt_core.finetuning.epochs import EpochLoop, Objective
from gpt_core.finetuning.progress import FinetuningRun
from gpt_core.models import build_model

CONFIG = ClassificationConfig(epochs=1, learning_rate=5e-3, batch_size=16)
WHOLE = LoRAConfig()


class Weighted(Objective[float]):
    """Pulls one weight towards numbers that count differently."""

    def __init__(self) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.sizes: list[int] = []

    def loss(self, examples: Sequence[float]) -> torch.Tensor:
        self.sizes.append(len(examples))
        numbers = torch.tensor(examples)
        return (numbers.abs() * (self.model.weight[0] - numbers).square()).sum()

    def weight(self, example: float) -> float:
        return abs(example)

    def score(self) -> dict[str, float]:
        return {}

    def size(self, example: float) -> int:
        return 1


def test_accumulated_gradients_give_the_updates_of_the_whole_batch(
    recorder: Any, tmp_path: Path
) -> None:
    examples = torch.randn(30).tolist()
    ends, losses = [], []
    for size in (None, 3):
        objective, config = Weighted(), replace(CONFIG, epochs=4, batch_size=8, micro_batch=size)
        run = FinetuningRun(tmp_path / f"{size}", "settings", [])
        EpochLoop(objective.model, objective, config, recorder, run).run(examples)
        assert max(objective.sizes) == (size or 8)
        ends.append(objective.model.weight.item())
        losses.append([m["train/loss"] for _, m in recorder.metrics if "train/loss" in m])
        recorder.metrics.clear()
    assert ends[1] == pytest.approx(ends[0], rel=1e-5)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize(("choose_by", "best"), [("loss", 2), ("accuracy", 1), ("f1", 3)])
def test_the_epoch_is_chosen_by_the_metric_that_is_named(choose_by: str, best: int) -> None:
    model = nn.Linear(1, 1)
    kept = BestEpoch(choose_by, patience=2)
    scores = [(2.0, 0.9, 0.1), (1.0, 0.5, 0.2), (3.0, 0.8, 0.3), (4.0, 0.1, 0.0)]
    for epoch, (loss, accuracy, f1) in enumerate(scores, start=1):
        with torch.no_grad():
            model.weight.fill_(epoch)
        kept.offer(epoch, {"loss": loss, "accuracy": accuracy, "f1": f1}, model)
    assert kept.metrics["best_epoch"] == best
    assert kept.out_of_patience == (4 - best >= 2)
    kept.put_back(model)
    assert model.weight.item() == best


def test_the_training_ends_when_patience_is_over(
    checkpoint: Artifact, messages: Artifact, tmp_path: Path, recorder: Any
) -> None:
    config = replace(CONFIG, epochs=50, patience=2, learning_rate=2e-2, choose_by="f1")
    made = finetune_classifier(
        checkpoint, messages, config, WHOLE, tmp_path / "out", callbacks=[recorder]
    )
    n_epochs = sum("validation/f1" in metrics for _, metrics in recorder.metrics)
    assert n_epochs == made.metrics()["best_epoch"] + 2 < 50
    assert f"the training ends after epoch {n_epochs} of 50: 2 without a better f1" in (
        recorder.notices
    )


def test_a_bad_update_is_noticed_at_once_and_named() -> None:
    watch = DivergenceWatch(torch.device("cpu"))
    good, bad = torch.tensor(1.0), torch.tensor(torch.nan)
    for step, (loss, norm) in enumerate([(good, good), (good, bad), (good, good)], start=1):
        watch.judge(step, loss, norm)
        assert watch.alarmed == (step >= 2)
    assert watch.first_bad() == 2


def test_long_texts_are_refused_or_read_in_windows_as_asked(
    checkpoint: Artifact, register: Callable[[str, str], Artifact], tmp_path: Path, recorder: Any
) -> None:
    lines = [
        f"{label}\t{'and so on ' * 7}{i % 7} {word}"
        for i in range(60)
        for label, word in (("spam", "PRIZE PRIZE"), ("ham", "later"))
    ]
    table = register("long.tsv", "\n".join(lines) + "\n")
    refuse = replace(CONFIG, too_long="refuse", near_duplicates=None)
    with pytest.raises(DataError, match="texts are longer than 64 tokens: shorten them"):
        finetune_classifier(checkpoint, table, refuse, WHOLE, tmp_path / "refused")
    config = replace(refuse, too_long="windows")
    out = tmp_path / "out"
    made = finetune_classifier(checkpoint, table, config, WHOLE, out, callbacks=[recorder])
    assert made.metrics()["cut_examples"] == 0
    assert any("they are read in windows" in notice for notice in recorder.notices)
    assert read_description(out).windows
    report = evaluate_classifier(made, table, config, tmp_path / "report").metrics()
    assert report["accuracy"] == made.metrics()["test_accuracy"]
    with pytest.raises(ConfigError, match="reads every text whole"):
        ClassificationConfig(too_long="windows", pad_to=20)


def test_an_answer_that_was_cut_has_not_ended(
    byte_tokenizer: Artifact, write_checkpoint: Callable[..., Artifact], instructions: Artifact,
    tmp_path: Path,
) -> None:  # fmt: skip
    shape = GPTConfig(n_layer=1, n_head=2, n_embd=32, vocab_size=257, context_length=96)
    base = write_checkpoint(build_model(shape, seed=11), byte_tokenizer)
    config = InstructionConfig(template="short", epochs=4, learning_rate=1e-2, max_new_tokens=3)
    made = finetune_instructions(base, instructions, config, WHOLE, tmp_path / "out")
    rows = pq.read_table(made.directory / "answers.parquet").to_pylist()
    for row in rows:  # three bytes at most: one that has three was cut
        assert row["ended"] == (len(row["answer"].encode()) < 3)
    ended = sum(row["ended"] for row in rows) / len(rows)
    assert made.metrics()["stop_rate"] == ended
    assert made.metrics()["test_loss"] > 0
