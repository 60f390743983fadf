"""Pretraining equals a plain loop, resumes to the same bits, and refuses impossible runs."""

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, RunInfo
from gpt_core.config import (
    ComputeConfig,
    GPTConfig,
    LoaderConfig,
    PretrainConfig,
    ScheduleConfig,
    ShardConfig,
    TokenizerConfig,
    TrainingConfig,
)
from gpt_core.data import ShardReader, TokenLoader, encode_corpus, sequential_batches
from gpt_core.errors import CheckpointError, ConfigError, DataError
from gpt_core.evaluation import summed_loss
from gpt_core.execution.layout import Layout
from gpt_core.execution.numerics import Numerics, resolve_numerics
from gpt_core.models import GPT, build_model, load_model, next_token_loss
from gpt_core.optim import build_optimizer, learning_rate_at
from gpt_core.tokenizers import train_tokenizer
from gpt_core.training import best_checkpoint, pretrain, resolve_vocabulary
from gpt_core.training.state_file import load_state

CPU = torch.device("cpu")
Tensors = dict[str, torch.Tensor]


def same(first: Tensors, second: Tensors) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def plain_loop(shards: Artifact, config: PretrainConfig) -> tuple[GPT, list[float]]:
    """The textbook training loop in fp32: the model and each step's loss."""
    model = build_model(replace(config.model, vocab_size=257), config.training.seed)
    optimizer = build_optimizer(model, config.optimizer)
    loader = TokenLoader(
        ShardReader(shards.directory, "train"),
        context_length=config.model.context_length,
        batch_size=config.training.micro_batch,
        config=LoaderConfig(),
    )
    losses, total = [], config.training.steps
    for step in range(total):
        peak = config.optimizer.learning_rate
        rate = learning_rate_at(step, config.schedule, peak=peak, total_steps=total)
        optimizer.set_learning_rate(rate)
        losses.append(0.0)
        for _ in range(config.micro_batches_per_step):
            batch = loader.next_batch()
            loss = next_token_loss(model(batch.token_ids), batch.targets)
            (loss / config.micro_batches_per_step).backward()
            losses[-1] += loss.item() / config.micro_batches_per_step
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    return model, losses


def test_training_equals_a_plain_loop_to_the_bit(
    shards: Artifact, config_of, newest, weights, tmp_path: Path
) -> None:
    config = config_of(
        model={"dropout": 0.0, "attention": "explicit"}, optimizer={"max_grad_norm": 0.3}
    )
    pretrain(shards, config, tmp_path)
    model, _ = plain_loop(shards, config)
    assert same(dict(model.named_parameters()), weights(newest(tmp_path).directory))


def test_bf16_learns_what_fp32_learns(
    sample_shards: Artifact, config_of, recorder, tmp_path: Path
) -> None:
    config = config_of(
        model={"n_embd": 64, "n_head": 4, "dropout": 0.0}, compute={"precision": "bf16"},
        steps=500, log_every=1, eval_every=500, save_every=500, sample_every=500, micro_batch=8,
    )  # fmt: skip
    pretrain(sample_shards, config, tmp_path, callbacks=[recorder])
    bf16 = list(recorder.values("train/loss").values())
    explicit = replace(config, model=replace(config.model, attention="explicit"))
    _, fp32 = plain_loop(sample_shards, explicit)
    ends = [statistics.mean(losses[-50:]) for losses in (bf16, fp32)]
    assert ends[0] == pytest.approx(ends[1], abs=0.02)
    assert ends[1] < 0.5 * fp32[0], "they have learned"


def test_accumulated_micro_batches_equal_one_large_batch(
    shards: Artifact, config_of, recorder_of, tmp_path: Path
) -> None:
    losses = []
    for micro_batch in (8, 2):
        config, recorder = config_of(model={"dropout": 0.0}, micro_batch=micro_batch), recorder_of()
        pretrain(shards, config, tmp_path / str(micro_batch), callbacks=[recorder])
        losses.append(recorder.values("train/loss"))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_model_learns(shards: Artifact, config_of, tmp_path: Path) -> None:
    config = config_of(
        steps=150, eval_every=150, save_every=150, sample_every=150,
        optimizer={"learning_rate": 1e-2},
    )  # fmt: skip
    checkpoint = pretrain(shards, config, tmp_path)
    assert checkpoint.metrics()["validation_loss"] < 0.6 * math.log(257)


def validation_split_loss(shards: Artifact, model: GPT, split: str = "validation") -> float:
    reader = ShardReader(shards.directory, split)
    total, count = summed_loss(model, sequential_batches(reader, 32, 4, 512), CPU)
    return total / count


def test_the_validation_loss_is_of_the_validation_split_without_dropout(
    shards: Artifact, uninterrupted
) -> None:
    _, recorder = uninterrupted
    for step, checkpoint in recorder.saved[-2:]:
        model = load_model(checkpoint.directory)
        expected = validation_split_loss(shards, model)
        assert recorder.values("validation/loss")[step] == pytest.approx(expected, abs=1e-6)
        assert checkpoint.metrics()["validation_loss"] == pytest.approx(expected, abs=1e-6)
        assert abs(validation_split_loss(shards, model, "train") - expected) > 1e-4
    assert recorder.values("validation/perplexity")[12] == pytest.approx(math.exp(expected))


@pytest.mark.parametrize("stop_at", [2, 6, 8, 10])
def test_an_interrupted_run_ends_with_the_same_bits(
    shards: Artifact, uninterrupted, config_of, recorder_of, newest, weights,
    timeless_metrics, tmp_path: Path, stop_at: int,
) -> None:  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards, config_of(), tmp_path, callbacks=[recorder_of(stop_at)])
    torch.manual_seed(99)  # whatever else the process has drawn in between
    recorder = recorder_of()
    pretrain(shards, config_of(), tmp_path, callbacks=[recorder])
    assert recorder.runs[0].first_step == (stop_at - 1) // 4 * 4
    whole, resumed = (newest(out).directory for out in (uninterrupted[0], tmp_path))
    assert same(weights(resumed), weights(whole))
    assert timeless_metrics(tmp_path) == timeless_metrics(uninterrupted[0])


@pytest.mark.parametrize(
    ("settings", "learning_rate"),
    [
        ({"ema_decay": 0.95}, 1e-3),
        ({"bad_step": "skip", "spike_factor": 1.0}, 1e-9),
        ({"zero_init": True}, 1e-3),
    ],
)
def test_an_interrupted_run_with_options_ends_with_the_same_bits(
    shards: Artifact, config_of, recorder_of, newest, weights, timeless_metrics, tmp_path: Path,
    settings: dict[str, object], learning_rate: float,
) -> None:  # fmt: skip
    config = config_of(
        steps=40, log_every=1, save_every=6, sample_every=100, micro_batch=8,
        optimizer={"learning_rate": learning_rate}, **settings,
    )  # fmt: skip
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    pretrain(shards, config, whole)
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards, config, cut, callbacks=[recorder_of(28)])
    pretrain(shards, config, cut)
    assert same(weights(newest(cut).directory), weights(newest(whole).directory))
    assert timeless_metrics(cut) == timeless_metrics(whole)


def test_a_resumed_run_keeps_its_best_loss_and_its_patience(
    shards: Artifact, config_of, recorder_of, newest, tmp_path: Path
) -> None:
    config = config_of(
        steps=40, patience=3, log_every=1, eval_every=2, save_every=2, sample_every=100,
        optimizer={"learning_rate": 1.0},
    )  # fmt: skip
    pretrain(shards, config, tmp_path / "whole")
    end = newest(tmp_path / "whole").manifest().info_int("step")
    assert end < 40, "the run stops early"
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards, config, tmp_path / "cut", callbacks=[recorder_of(end - 1)])
    pretrain(shards, config, tmp_path / "cut")
    assert newest(tmp_path / "cut").manifest().info_int("step") == end


def test_a_finished_run_is_not_repeated(
    shards: Artifact, uninterrupted, config_of, recorder
) -> None:
    checkpoint = pretrain(shards, config_of(), uninterrupted[0], callbacks=[recorder])
    assert recorder.runs == []
    assert checkpoint == best_checkpoint(uninterrupted[0])


def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_it_resumed(
    shards: Artifact, uninterrupted, config_of, recorder_of, newest, weights,
    tmp_path: Path,
) -> None:  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards, config_of(), tmp_path, callbacks=[recorder_of(10)])
    file = tmp_path / "step-00000008" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    recorder = recorder_of()
    pretrain(shards, config_of(), tmp_path, callbacks=[recorder])
    assert recorder.runs[0].first_step == 4
    assert "was altered since it was written" in recorder.notices[0]
    assert "the checkpoint before it is used" in recorder.notices[0]
    whole = weights(newest(uninterrupted[0]).directory)
    assert same(weights(newest(tmp_path).directory), whole)


def test_another_run_in_the_same_directory_is_refused(
    shards: Artifact, uninterrupted, config_of
) -> None:
    with pytest.raises(CheckpointError, match=r"training\.steps was 12, is now 13"):
        pretrain(shards, config_of(steps=13), uninterrupted[0])
    other = replace(shards, fingerprint="0" * 32)
    with pytest.raises(CheckpointError, match="the token shards are not the ones"):
        pretrain(other, config_of(), uninterrupted[0])


def test_two_runs_at_once_in_one_directory_are_refused(
    shards: Artifact, config_of, tmp_path: Path
) -> None:
    refused: list[str] = []

    class Second(Callback):
        def on_start(self, run: RunInfo) -> None:
            with pytest.raises(CheckpointError, match="is in use by process") as caught:
                pretrain(shards, config_of(), tmp_path)
            refused.append(str(caught.value))

    pretrain(shards, config_of(steps=3), tmp_path, callbacks=[Second()])
    assert len(refused) == 1


def test_the_vocabulary_size_is_the_shards(shards: Artifact, config_of, tmp_path: Path) -> None:
    assert resolve_vocabulary(config_of(), shards).model.vocab_size == 257
    config = config_of(model={"vocab_size": 300})
    with pytest.raises(ConfigError, match=r"is 300, but the tokenizer of .* has 257 tokens"):
        pretrain(shards, config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_context_longer_than_the_text_is_refused(shards: Artifact, tmp_path: Path) -> None:
    config = PretrainConfig(
        model=GPTConfig(n_layer=1, n_head=1, n_embd=8, context_length=10**6),
        schedule=ScheduleConfig(warmup_steps=1),
        training=TrainingConfig(tokens_per_step=10**6, micro_batch=1),
    )
    with pytest.raises(DataError, match="one sample needs 1000001"):
        pretrain(shards, config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_directory_that_cannot_be_written_is_named(
    shards: Artifact, config_of, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        pretrain(shards, config_of(), tmp_path / "file" / "out")


def test_a_run_starts_from_the_weights_of_an_initial_checkpoint(
    shards: Artifact, uninterrupted, config_of, recorder_of, newest, tmp_path: Path
) -> None:
    initial, config = newest(uninterrupted[0]), config_of(steps=4)
    continued, fresh = recorder_of(), recorder_of()
    pretrain(shards, config, tmp_path / "on", callbacks=[continued], initial=initial)
    pretrain(shards, config, tmp_path / "fresh", callbacks=[fresh])
    losses = [each.values("train/loss")[2] for each in (continued, fresh)]
    assert losses[0] < losses[1] - 0.01
    with pytest.raises(CheckpointError, match="did not begin as the same model"):
        pretrain(shards, config, tmp_path / "on")


def test_an_initial_checkpoint_of_another_shape_or_tokenizer_is_refused(
    shards: Artifact, uninterrupted, config_of, newest, corpus: Artifact,
    tmp_path: Path,
) -> None:  # fmt: skip
    initial = newest(uninterrupted[0])
    with pytest.raises(CheckpointError, match="n_layer"):
        pretrain(shards, config_of(model={"n_layer": 3}), tmp_path / "a", initial=initial)
    kind = TokenizerConfig(kind="bpe", vocab_size=257)
    tokenizer = train_tokenizer(corpus, kind, tmp_path / "t")
    other = encode_corpus(corpus, tokenizer, ShardConfig(workers=1), tmp_path / "s")
    with pytest.raises(CheckpointError, match="different tokenizers"):
        pretrain(other, config_of(), tmp_path / "b", initial=initial)
    assert not (tmp_path / "b").exists()


def test_a_resumed_run_keeps_the_micro_batch_size_that_was_found(
    shards: Artifact, config_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: list[int] = []

    def train_once(config: PretrainConfig, micro_batch: int, device: torch.device) -> None:
        trials.append(micro_batch)
        if micro_batch > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("gpt_core.training.autotune._train_once", train_once)
    config = config_of(compute={"fit_memory": True}, micro_batch=8, steps=4, save_every=2)
    checkpoint = pretrain(shards, config, tmp_path / "run")
    assert checkpoint.manifest().config_int("training", "micro_batch") == 2
    assert trials == [8, 4, 2]
    max((tmp_path / "run").glob("step-*")).rename(tmp_path / "lost")
    resumed = pretrain(shards, config, tmp_path / "run")
    assert trials == [8, 4, 2]
    assert resumed.manifest().config_int("training", "micro_batch") == 2


def lose_newest(out_dir: Path, into: Path) -> None:
    max(out_dir.glob("step-*")).rename(into / "lost")


def test_a_run_killed_before_older_checkpoints_were_removed_removes_them_later(
    shards: Artifact, config_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(steps=4, save_every=1, keep_last=1)
    with monkeypatch.context() as killed:
        killed.setattr("gpt_core.training.session.prune", lambda *given: None)
        pretrain(shards, config, tmp_path)
    assert len(list(tmp_path.glob("step-*"))) == 4
    best = pretrain(shards, config, tmp_path)
    assert {*tmp_path.glob("step-*")} == {best.directory, tmp_path / "step-00000004"}


def test_a_resumed_run_keeps_the_numerics_that_were_found(
    shards: Artifact, config_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: list[str] = []

    def choose_bf16(layout: Layout, *rest: object) -> Numerics:
        trials.append(layout.numerics.machine)
        return replace(layout.numerics, precision="bf16", bf16_residual=True)

    monkeypatch.setattr("gpt_core.training.pretraining.autotune", choose_bf16)
    config, out = config_of(steps=4, save_every=2, keep_last=9), tmp_path / "run"
    checkpoint = pretrain(shards, config, out)
    assert load_state(checkpoint, CPU)["numerics"]["bf16_residual"]
    lose_newest(out, tmp_path)
    pretrain(shards, config, out)
    assert trials == ["cpu"], "the second time they were loaded"


def test_on_another_machine_the_precision_stays_and_the_trials_are_repeated(
    shards: Artifact, config_of, newest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(compute={"precision": "auto"}, steps=4, save_every=2)
    out = tmp_path / "run"

    def elsewhere(compute: ComputeConfig, device: torch.device) -> Numerics:
        here = resolve_numerics(compute, device)
        return replace(here, machine="elsewhere", precision="bf16", bf16_residual=True)

    with monkeypatch.context() as there:
        there.setattr("gpt_core.execution.placement.resolve_numerics", elsewhere)
        pretrain(shards, config, out)
    lose_newest(out, tmp_path)
    pretrain(shards, config, out)
    found = load_state(newest(out), CPU)["numerics"]
    here = resolve_numerics(config.compute, CPU)
    assert found == asdict(replace(here, precision="bf16", bf16_residual=True))


def test_a_missing_compiler_is_reported_with_advice(
    shards: Artifact, config_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(loss: object) -> Callable[..., torch.Tensor]:
        def fails(*given: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found in (None, 'g++')")

        return fails

    monkeypatch.setattr(torch, "compile", no_compiler)
    with pytest.raises(ConfigError, match=r"set compute\.compile=off"):
        pretrain(shards, config_of(compute={"compile": "on"}), tmp_path)
