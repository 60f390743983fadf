"""What a run does between its steps: leave batches out, average, give up, save behind its back."""

import dataclasses
import resource
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, read_records
from gpt_core.config import (
    ComputeConfig,
    DecodingConfig,
    GPTConfig,
    OptimizerConfig,
    PretrainConfig,
    ScheduleConfig,
    TrainingConfig,
)
from gpt_core.errors import DataError, DivergenceError
from gpt_core.models import build_model
from gpt_core.training import latest_checkpoint, pretrain
from gpt_core.training.checkpoint import Snapshot
from gpt_core.training.saving import BackgroundSaver, HostCopier, PendingCheckpoint


def config_of(learning_rate: float = 1e-3, **training: object) -> PretrainConfig:
    settings = {
        "steps": 12, "tokens_per_step": 256, "micro_batch": 8, "log_every": 1, "eval_every": 4,
        "save_every": 4, "sample_every": 100, "eval_tokens": 512, **training,
    }  # fmt: skip
    return PretrainConfig(
        model=GPTConfig(n_layer=1, n_head=2, n_embd=16, context_length=32, dropout=0.1),
        optimizer=OptimizerConfig(learning_rate=learning_rate),
        schedule=ScheduleConfig(warmup_steps=2),
        training=TrainingConfig(**settings),
        compute=ComputeConfig(device="cpu", precision="fp32"),
        generation=DecodingConfig(max_new_tokens=4),
    )


class Heard(Callback):
    """Remembers what it was told, and can stop the run."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.notices: list[str] = []
        self.metrics: dict[int, dict[str, float]] = {}
        self.saved: list[int] = []
        self.stop_at = stop_at

    def on_notice(self, message: str) -> None:
        self.notices.append(message)

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self.metrics.setdefault(step, {}).update(metrics)
        if step == self.stop_at:
            raise KeyboardInterrupt

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.saved.append(step)


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model.safetensors")


def test_batches_whose_loss_jumps_are_left_out_and_recorded(
    shards: Artifact, tmp_path: Path
) -> None:
    heard = Heard()
    config = config_of(1e-9, steps=60, bad_step="skip", spike_factor=1.0)  # it learns nothing
    pretrain(shards, config, tmp_path, callbacks=[heard])
    skipped = heard.metrics[60]["train/skipped_steps"]
    assert 0 < skipped == len(heard.notices) < 40
    assert "has jumped to" in heard.notices[0]
    assert "of the data's order): it is left out" in heard.notices[0]
    left_out = [step for step, row in heard.metrics.items() if "train/update_ratio" not in row]
    assert len(left_out) == skipped
    assert all("train/loss" not in heard.metrics[step] for step in left_out)


def test_a_run_in_which_no_step_is_good_stops_all_the_same(
    shards: Artifact, tmp_path: Path
) -> None:
    config = config_of(1e30, steps=60, bad_step="skip", save_every=60, eval_every=60)
    config = dataclasses.replace(config, optimizer=OptimizerConfig(
        learning_rate=1e30, max_grad_norm=None
    ))  # fmt: skip
    with pytest.raises(DivergenceError, match="like those of the 20 steps before it"):
        pretrain(shards, config, tmp_path)


def test_a_jump_stops_a_run_that_skips_nothing(shards: Artifact, tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match=r"has jumped to .*training\.bad_step=skip"):
        pretrain(shards, config_of(1e-9, steps=60, spike_factor=1.0), tmp_path)


def test_the_size_of_an_update_is_told(shards: Artifact, tmp_path: Path) -> None:
    heard = Heard()
    pretrain(shards, config_of(steps=4, save_every=1, keep_last=4), tmp_path, callbacks=[heard])
    before, after = (weights(tmp_path / f"step-0000000{step}") for step in (3, 4))
    change = sum(float((after[name] - before[name]).square().sum()) for name in before)
    size = sum(float(before[name].square().sum()) for name in before)
    assert heard.metrics[4]["train/update_ratio"] == pytest.approx((change / size) ** 0.5, rel=1e-4)


def test_the_average_of_the_weights_is_what_is_saved(shards: Artifact, tmp_path: Path) -> None:
    every = {"save_every": 1, "keep_last": 12, "eval_every": 12}
    pretrain(shards, config_of(**every), tmp_path / "plain")
    pretrain(shards, config_of(**every, ema_decay=0.9), tmp_path / "mean")
    config = config_of().model
    model = build_model(dataclasses.replace(config, vocab_size=257), config_of().training.seed)
    mean = {name: value.detach().double() for name, value in model.named_parameters()}
    for step in range(1, 13):
        decay = min(0.9, (1 + step) / (10 + step))
        own = weights(tmp_path / "plain" / f"step-{step:08d}")
        mean = {name: decay * value + (1 - decay) * own[name] for name, value in mean.items()}
    saved = weights(tmp_path / "mean" / "step-00000012")
    for name, value in mean.items():
        torch.testing.assert_close(saved[name].double(), value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"ema_decay": 0.95},
        {"bad_step": "skip", "spike_factor": 1.0, "learning_rate": 1e-9},
        {"zero_init": True},
    ],
)
def test_a_stopped_run_goes_on_to_the_same_bits(
    shards: Artifact, tmp_path: Path, settings: dict[str, object]
) -> None:
    config = config_of(steps=40, save_every=6, **settings)
    pretrain(shards, config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards, config, tmp_path / "cut", callbacks=[Heard(stop_at=28)])
    pretrain(shards, config, tmp_path / "cut")
    ends = [latest_checkpoint(tmp_path / name)[0] for name in ("whole", "cut")]
    assert ends[0] is not None
    assert ends[1] is not None
    whole, cut = weights(ends[0].directory), weights(ends[1].directory)
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    timed = "train/tokens_per_second"
    rows = [
        [{k: v for k, v in row.items() if k != timed} for row in read_records(tmp_path / name)]
        for name in ("whole/metrics.jsonl", "cut/metrics.jsonl")
    ]
    assert rows[0] == rows[1]


def test_zero_init_begins_with_blocks_that_pass_on() -> None:
    config = GPTConfig(n_layer=2, n_head=2, n_embd=16, context_length=8, vocab_size=32)
    model = build_model(config, seed=0, zero_residual=True)
    drawn = build_model(config, seed=0)
    for name, parameter in model.named_parameters():
        if name.endswith("c_proj.weight"):
            assert not parameter.any()
        elif name.startswith("wte"):
            assert torch.equal(parameter, drawn.wte.weight)
    ids = torch.randint(0, 32, (2, 8))
    alone = model.lm_head(model.ln_f(model.wte(ids) + model.wpe.weight))
    torch.testing.assert_close(model(ids), alone)


def test_a_run_gives_up_when_its_patience_ends_and_is_then_done(
    shards: Artifact, tmp_path: Path
) -> None:
    heard = Heard()
    config = config_of(1.0, steps=100, patience=2, eval_every=2, save_every=2)
    best = pretrain(shards, config, tmp_path, callbacks=[heard])
    assert "2 evaluations without a lower validation loss" in heard.notices[0]
    end = max(heard.metrics)
    losses = [row["validation/loss"] for row in heard.metrics.values() if "validation/loss" in row]
    assert end < 100
    assert min(losses) == losses[-3] == best.metrics()["validation_loss"]
    again = Heard()
    assert pretrain(shards, config, tmp_path, callbacks=[again]) == best
    assert again.metrics == {}


def test_every_checkpoint_is_told_of_by_the_thread_that_trains(
    shards: Artifact, tmp_path: Path
) -> None:
    heard = Heard()
    pretrain(shards, config_of(), tmp_path, callbacks=[heard])
    assert heard.saved == [4, 8, 12]


def test_what_is_saved_is_a_copy_in_the_memory_of_the_one_before() -> None:
    first, second = torch.ones(2), torch.zeros(1)
    value = {"a": [first, (3, second)]}
    copier = HostCopier()
    copy = copier.copy(value, "state")
    first.add_(1)
    assert copy["a"][0].tolist() == [1.0, 1.0]
    assert copy["a"][1][0] == 3
    again = copier.copy(value, "state")
    assert again["a"][0].tolist() == [2.0, 2.0]
    assert again["a"][0].data_ptr() == copy["a"][0].data_ptr()
    grown = copier.copy({"a": [torch.ones(3), (3, second)]}, "state")
    assert grown["a"][0].tolist() == [1.0] * 3


def test_saver_raises_the_error_of_a_failed_write_once(shards: Artifact, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    snapshot = Snapshot(
        step=1, weights={}, state={}, config=config_of(), parents=[shards], metrics={}
    )
    with BackgroundSaver() as saver:
        saver.start(PendingCheckpoint(tmp_path / "file" / "run", snapshot, is_first=True))
        with pytest.raises(DataError, match="cannot be written"):
            saver.wait()
        assert saver.wait() is None


def test_too_little_memory_is_one_sentence_with_advice(shards: Artifact, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "gpt_core", "train", "--shards", shards.path,
        "--out", str(tmp_path / "out"), "model.n_layer=1", "model.n_head=1", "model.n_embd=64",
        "model.context_length=32", "training.micro_batch=200000",
        "training.tokens_per_step=6400000", "training.steps=200",
    ]  # fmt: skip
    limit = 5 << 30
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "does not hold training.micro_batch=200000 samples of 32 tokens" in done.stderr
    assert "set training.micro_batch=100000" in done.stderr
