"""The training loop of the fine-tunes: every example once an epoch, the best epoch kept."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gpt_core.config import ClassificationConfig, OptimizerConfig
from gpt_core.errors import DivergenceError
from gpt_core.finetuning.epochs import EpochLoop, Objective, draw_batches, seeded
from gpt_core.finetuning.progress import FinetuningRun

CPU = torch.device("cpu")


class Pull(Objective[float]):
    """Pulls one weight towards numbers; its validation metrics are given."""

    def __init__(self, metrics: Sequence[dict[str, float]]) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.model.weight.zero_()
        self.metrics = list(metrics)
        self.weights: list[float] = []
        self.batches: list[list[float]] = []
        self.modes: list[tuple[str, bool]] = []

    def loss(self, examples: Sequence[float]) -> Tensor:
        self.batches.append(list(examples))
        self.modes.append(("loss", self.model.training))
        return (self.model.weight - torch.tensor(examples)).square().sum()

    def score(self) -> dict[str, float]:
        self.weights.append(self.model.weight.item())
        self.modes.append(("score", self.model.training))
        return self.metrics.pop(0)

    def size(self, example: float) -> int:
        return 3


def run_in(folder: Path) -> FinetuningRun:
    return FinetuningRun(folder / "out", "settings", [])


def trained(objective: Pull, recorder: Any, tmp_path: Path, **settings: Any) -> dict[str, float]:
    settings = {"epochs": 3, "batch_size": 4, "learning_rate": 0.1, **settings}
    config = ClassificationConfig(**settings)
    loop = EpochLoop(objective.model, objective, config, recorder, run_in(tmp_path))
    return loop.run([1.0] * 30)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=300), st.integers(1, 17))
def test_an_epoch_has_every_example_once(sizes: list[int], batch_size: int) -> None:
    batches = draw_batches(sizes, batch_size, random.Random(1))
    assert sorted(i for batch in batches for i in batch) == list(range(len(sizes)))
    assert len(batches) == -(-len(sizes) // batch_size)
    assert max(map(len, batches)) <= batch_size
    assert batches == draw_batches(sizes, batch_size, random.Random(1))


def test_batches_of_about_equal_length_save_padding_and_differ_by_epoch() -> None:
    rng = random.Random(2)
    sizes = [rng.randint(5, 200) for _ in range(640)]

    def computed(batches: list[list[int]]) -> int:
        return sum(len(batch) * max(sizes[i] for i in batch) for batch in batches)

    batches = draw_batches(sizes, 16, rng)
    longest = [max(sizes[i] for i in batch) for batch in batches]
    assert longest[:8] != sorted(longest[:8]), "long batches are not all late"
    unsorted = [list(range(start, start + 16)) for start in range(0, 640, 16)]
    assert computed(batches) < 0.75 * computed(unsorted)
    assert batches != draw_batches(sizes, 16, rng)


@pytest.mark.parametrize(
    ("metrics", "best"),
    [
        ([{"loss": 3.0}, {"loss": 1.0}, {"loss": 2.0}], 1),
        ([{"loss": 1.0, "accuracy": a} for a in (0.9, 0.5, 0.8)], 0),
        ([{"loss": loss, "accuracy": 0.9} for loss in (3.0, 2.0, 1.0)], 2),
    ],
    ids=["lowest loss", "highest accuracy", "lowest loss of equal accuracies"],
)
def test_the_best_epoch_is_kept(
    recorder: Any, metrics: list[dict[str, float]], best: int, tmp_path: Path
) -> None:
    objective = Pull(metrics)
    kept = trained(objective, recorder, tmp_path)
    assert objective.model.weight.item() == objective.weights[best]
    assert len(set(objective.weights)) == 3
    assert kept == {f"validation_{n}": v for n, v in metrics[best].items()} | {
        "best_epoch": best + 1
    }


def test_every_epoch_trains_in_training_mode_and_validates_in_evaluation_mode(
    recorder: Any, tmp_path: Path
) -> None:
    objective = Pull([{"loss": 1.0}] * 3)
    objective.model.eval()  # as load_model returns it
    trained(objective, recorder, tmp_path)
    assert set(objective.modes) == {("loss", True), ("score", False)}
    assert [name for name, _ in objective.modes] == (["loss"] * 8 + ["score"]) * 3
    assert not objective.model.training


def test_the_updates_are_those_of_a_plain_loop(recorder: Any, tmp_path: Path) -> None:
    examples = [(i * 7 % 13 - 6) / 3 for i in range(30)]  # some gradients are clipped
    config = ClassificationConfig(epochs=3, batch_size=4, learning_rate=0.1, weight_decay=0.3)
    objective = Pull([{}, {}, {}])
    loop = EpochLoop(objective.model, objective, config, recorder, run_in(tmp_path))
    loop.run(examples)
    twin = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(twin.weight)
    betas = (OptimizerConfig().beta1, OptimizerConfig().beta2)
    adamw = torch.optim.AdamW(twin.parameters(), betas=betas, weight_decay=0.3)
    n_warmup, n_steps = 2, 24
    for step, batch in enumerate(objective.batches):
        rate = min((step + 1) / n_warmup, (n_steps - 1 - step) / (n_steps - n_warmup))
        adamw.param_groups[0]["lr"] = 0.1 * rate
        adamw.zero_grad()
        (twin.weight - torch.tensor(batch)).square().mean().backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        adamw.step()
    torch.testing.assert_close(objective.model.weight, twin.weight)


def test_the_throughput_counts_the_time_of_training_alone(
    recorder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    class Slow(Pull):
        def loss(self, examples: Sequence[float]) -> Tensor:
            now[0] += 2.0
            return super().loss(examples)

        def score(self) -> dict[str, float]:
            now[0] += 100.0
            return super().score()

    objective = Slow([{"loss": 1.0}] * 3)
    config = ClassificationConfig(epochs=3, batch_size=4)
    loop = EpochLoop(objective.model, objective, config, recorder, run_in(tmp_path))
    now[0] += 1000.0
    loop.run([1.0] * 30)
    name = "train/tokens_per_second"
    rates = [each[name] for _, each in recorder.metrics if name in each]
    expected = []
    for first, last in ((0, 10), (10, 20), (20, 24)):
        n_tokens = sum(3 * len(batch) for batch in objective.batches[first:last])
        expected.append(n_tokens / (2.0 * (last - first)))
    assert rates == pytest.approx(expected)


def test_without_a_validation_split_the_last_epoch_is_kept(recorder: Any, tmp_path: Path) -> None:
    objective = Pull([{}, {}, {}])
    assert trained(objective, recorder, tmp_path) == {}
    assert objective.model.weight.item() == objective.weights[2]


def test_callbacks_receive_the_losses_and_the_validation_metrics(
    recorder: Any, tmp_path: Path
) -> None:
    objective = Pull([{"loss": 1.0}] * 3)
    trained(objective, recorder, tmp_path)
    run = recorder.runs[0]
    assert (run.total_steps, run.n_parameters, run.tokens_per_step) == (24, 1, 11)
    assert recorder.ends == [24]
    losses = {step: each["train/loss"] for step, each in recorder.metrics if "train/loss" in each}
    assert list(losses) == [10, 20, 24]
    validated = [step for step, each in recorder.metrics if "validation/loss" in each]
    assert validated == [8, 16, 24]
    assert losses[10] > losses[20] > 0


def test_a_logged_loss_is_the_mean_since_the_last_one(recorder: Any, tmp_path: Path) -> None:
    objective = Pull([{}])
    trained(objective, recorder, tmp_path, epochs=1, learning_rate=1e-30)  # the weight stays 0
    assert [each["train/loss"] for _, each in recorder.metrics] == [pytest.approx(1.0)]


def test_a_learning_rate_that_is_too_high_stops_the_training(recorder: Any, tmp_path: Path) -> None:
    sentence = "is not a number at step [23]: lower the learning rate, which is 1e"
    with pytest.raises(DivergenceError, match=sentence):
        trained(
            Pull([{"loss": 1.0}] * 3), recorder, tmp_path, learning_rate=1e38, weight_decay=10.0
        )


def test_the_same_seed_gives_the_same_order_and_another_gives_another(
    recorder: Any, tmp_path: Path
) -> None:
    orders = []
    for seed in (1, 1, 2):
        objective = Pull([{}])
        config = ClassificationConfig(epochs=1, batch_size=4, seed=seed)
        loop = EpochLoop(objective.model, objective, config, recorder, run_in(tmp_path))
        loop.run([float(i) for i in range(30)])
        orders.append(objective.batches)
    assert orders[0] == orders[1] != orders[2]


def test_a_seeded_block_restores_the_generators() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    with seeded(1, CPU):
        first = torch.rand(3)
    with seeded(1, CPU):
        assert torch.equal(first, torch.rand(3))
    assert torch.equal(state, torch.get_rng_state())
