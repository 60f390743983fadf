"""A run trains, stops, goes on to the same bits, and refuses what it cannot use."""

import dataclasses
import json
import math
import signal
import statistics
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gpt_core.artifact import Artifact, read_artifact
from gpt_core.callbacks import Callback, RunInfo, read_records
from gpt_core.config import (
    ComputeConfig,
    DecodingConfig,
    GPTConfig,
    LoaderConfig,
    OptimizerConfig,
    PretrainConfig,
    ScheduleConfig,
    ShardConfig,
    TokenizerConfig,
    TrainingConfig,
)
from gpt_core.data import ShardReader, TokenLoader, encode_corpus
from gpt_core.errors import CheckpointError, ConfigError, DataError, DivergenceError
from gpt_core.models import GPT, build_model, load_model, next_token_loss
from gpt_core.optim import build_optimizer, learning_rate_at
from gpt_core.tokenizers import train_tokenizer
from gpt_core.training import best_checkpoint, latest_checkpoint, pretrain


def config_of(precision: str = "fp32", **training: object) -> PretrainConfig:
    settings = {
        "steps": 12, "tokens_per_step": 256, "micro_batch": 4, "log_every": 2, "eval_every": 4,
        "save_every": 4, "sample_every": 6, "eval_tokens": 512, **training,
    }  # fmt: skip
    return PretrainConfig(
        model=GPTConfig(n_layer=2, n_head=2, n_embd=16, context_length=32, dropout=0.1),
        schedule=ScheduleConfig(warmup_steps=2),
        training=TrainingConfig(**settings),
        compute=ComputeConfig(device="cpu", precision=precision),
        generation=DecodingConfig(max_new_tokens=4),
    )


class Heard(Callback):
    """Remembers what it was told, and can stop the run."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.metrics: list[tuple[int, dict[str, float]]] = []
        self.samples: list[tuple[int, str]] = []
        self.notices: list[str] = []
        self.runs: list[RunInfo] = []
        self.saved: list[int] = []
        self.ended: list[int] = []
        self.stop_at = stop_at

    def on_start(self, run: RunInfo) -> None:
        self.runs.append(run)

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self.metrics.append((step, dict(metrics)))
        if step == self.stop_at:
            raise KeyboardInterrupt

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        self.samples.append((step, prompt + text))

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        self.saved.append(step)

    def on_notice(self, message: str) -> None:
        self.notices.append(message)

    def on_end(self, step: int) -> None:
        self.ended.append(step)


def weights(out_dir: Path) -> dict[str, torch.Tensor]:
    checkpoint, _ = latest_checkpoint(out_dir)
    assert checkpoint is not None
    return load_file(checkpoint.directory / "model.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def records(out_dir: Path) -> list[dict[str, float]]:
    """Metrics without what hangs on the clock."""
    rows = read_records(out_dir / "metrics.jsonl")
    return [{k: v for k, v in row.items() if k != "train/tokens_per_second"} for row in rows]


@pytest.fixture(scope="module")
def undisturbed(shards: Artifact, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Heard]:
    out, heard = tmp_path_factory.mktemp("run") / "run", Heard()
    pretrain(shards, config_of(), out, callbacks=[heard])
    return out, heard


def test_a_run_tells_all_that_happens(undisturbed: tuple[Path, Heard]) -> None:
    out, heard = undisturbed
    assert heard.saved == [4, 8, 12]
    assert heard.ended == [12]
    assert [step for step, m in heard.metrics if "train/loss" in m] == [2, 4, 6, 8, 10, 12]
    assert [step for step, m in heard.metrics if "validation/loss" in m] == [4, 8, 12]
    assert [step for step, _ in heard.samples] == [6, 12]
    assert heard.runs[0].n_parameters == sum(p.numel() for p in load_model(last(out)).parameters())
    assert len(records(out)) == 9


def last(out: Path) -> Path:
    checkpoint, _ = latest_checkpoint(out)
    assert checkpoint is not None
    return checkpoint.directory


@pytest.mark.parametrize("stop_at", [2, 6, 8, 10])
def test_a_stopped_run_goes_on_to_the_same_bits(
    shards: Artifact, undisturbed: tuple[Path, Heard], tmp_path: Path, stop_at: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards, config_of(), tmp_path, callbacks=[Heard(stop_at)])
    torch.manual_seed(99)  # whatever else the process has drawn in between
    heard = Heard()
    pretrain(shards, config_of(), tmp_path, callbacks=[heard])
    assert heard.runs[0].first_step == (stop_at - 1) // 4 * 4
    assert same(weights(tmp_path), weights(undisturbed[0]))
    assert records(tmp_path) == records(undisturbed[0])


def test_a_finished_run_is_not_done_again(
    shards: Artifact, undisturbed: tuple[Path, Heard]
) -> None:
    heard = Heard()
    checkpoint = pretrain(shards, config_of(), undisturbed[0], callbacks=[heard])
    assert heard.runs == []
    assert checkpoint == best_checkpoint(undisturbed[0])


def test_the_best_checkpoint_has_the_lowest_validation_loss(
    undisturbed: tuple[Path, Heard],
) -> None:
    out, heard = undisturbed
    losses = {step: m["validation/loss"] for step, m in heard.metrics if "validation/loss" in m}
    best = best_checkpoint(out)
    assert best is not None
    assert best.manifest().info_int("step") == min(losses, key=losses.__getitem__)


def test_only_the_newest_and_the_best_checkpoints_are_kept(
    shards: Artifact, tmp_path: Path
) -> None:
    pretrain(shards, config_of(save_every=2, keep_last=1, eval_every=12), tmp_path)
    assert [p.name for p in sorted(tmp_path.glob("step-*"))] == ["step-00000012"]


def test_training_equals_a_plain_loop_to_the_bit(shards: Artifact, tmp_path: Path) -> None:
    config = config_of()
    model_config = dataclasses.replace(config.model, dropout=0.0, attention="explicit")
    config = dataclasses.replace(config, model=model_config)
    pretrain(shards, config, tmp_path)
    model, _ = plain_loop(shards, config)
    assert same(dict(model.named_parameters()), weights(tmp_path))


def plain_loop(shards: Artifact, config: PretrainConfig) -> tuple[GPT, list[float]]:
    """Training as one would write it down first, in fp32: the model and each step's loss."""
    model = build_model(dataclasses.replace(config.model, vocab_size=257), config.training.seed)
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
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return model, losses


def test_bf16_learns_what_fp32_learns(sample_shards: Artifact, tmp_path: Path) -> None:
    config = config_of(
        steps=500, precision="bf16", log_every=1, eval_every=500, save_every=500, sample_every=500,
        micro_batch=8,
    )  # fmt: skip
    shape = dataclasses.replace(config.model, n_embd=64, n_head=4, dropout=0.0)
    config = dataclasses.replace(config, model=shape)
    pretrain(sample_shards, config, tmp_path)
    ours = [row["train/loss"] for row in records(tmp_path) if "train/loss" in row]
    plain = dataclasses.replace(config, model=dataclasses.replace(shape, attention="explicit"))
    _, theirs = plain_loop(sample_shards, plain)
    ends = [statistics.mean(losses[-50:]) for losses in (ours, theirs)]
    assert ends[0] == pytest.approx(ends[1], abs=0.02)
    assert ends[1] < 0.5 * theirs[0], "they have learned"


def test_accumulated_micro_batches_equal_one_large_batch(shards: Artifact, tmp_path: Path) -> None:
    losses = []
    for micro_batch in (8, 2):
        config = config_of(micro_batch=micro_batch, save_every=12, steps=6, eval_every=6)
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, dropout=0.0))
        pretrain(shards, config, tmp_path / str(micro_batch))
        rows = records(tmp_path / str(micro_batch))
        losses.append([row["train/loss"] for row in rows if "train/loss" in row])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_model_learns(shards: Artifact, tmp_path: Path) -> None:
    config = config_of(steps=150, eval_every=150, save_every=150, sample_every=150)
    config = dataclasses.replace(config, optimizer=OptimizerConfig(learning_rate=1e-2))
    checkpoint = pretrain(shards, config, tmp_path)
    assert checkpoint.metrics()["validation_loss"] < 0.6 * math.log(257)


def test_a_damaged_newest_checkpoint_is_passed_over_and_said_so(
    shards: Artifact, undisturbed: tuple[Path, Heard], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards, config_of(), tmp_path, callbacks=[Heard(stop_at=10)])
    file = tmp_path / "step-00000008" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    heard = Heard()
    pretrain(shards, config_of(), tmp_path, callbacks=[heard])
    assert heard.runs[0].first_step == 4
    assert "was altered since it was written" in heard.notices[0]
    assert "the checkpoint before it is used" in heard.notices[0]
    assert same(weights(tmp_path), weights(undisturbed[0]))


def test_another_run_in_the_same_directory_is_refused(
    shards: Artifact, undisturbed: tuple[Path, Heard]
) -> None:
    with pytest.raises(CheckpointError, match=r"training\.steps was 12, is now 13"):
        pretrain(shards, config_of(steps=13), undisturbed[0])
    other = dataclasses.replace(shards, fingerprint="0" * 32)
    with pytest.raises(CheckpointError, match="the token shards are not the ones"):
        pretrain(other, config_of(), undisturbed[0])


def test_two_runs_at_once_in_one_directory_are_refused(shards: Artifact, tmp_path: Path) -> None:
    refused: list[str] = []

    class Second(Callback):
        def on_start(self, run: RunInfo) -> None:
            with pytest.raises(CheckpointError, match="is in use by process") as caught:
                pretrain(shards, config_of(), tmp_path)
            refused.append(str(caught.value))

    pretrain(shards, config_of(steps=3), tmp_path, callbacks=[Second()])
    assert len(refused) == 1


def test_a_loss_that_is_no_number_stops_the_run(shards: Artifact, tmp_path: Path) -> None:
    config = dataclasses.replace(
        config_of(save_every=2), optimizer=OptimizerConfig(learning_rate=1e30, max_grad_norm=None)
    )
    with pytest.raises(DivergenceError, match=r"the loss of step \d+ is not a number") as caught:
        pretrain(shards, config, tmp_path)
    assert "checkpoint" in str(caught.value)


def test_a_vocabulary_that_disagrees_names_both_sizes(shards: Artifact, tmp_path: Path) -> None:
    config = config_of()
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, vocab_size=300))
    with pytest.raises(ConfigError, match=r"is 300, but the tokenizer of .* has 257 tokens"):
        pretrain(shards, config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_context_longer_than_the_text_is_refused(shards: Artifact, tmp_path: Path) -> None:
    config = PretrainConfig(
        model=GPTConfig(n_layer=1, n_head=1, n_embd=8, context_length=10**6),
        training=TrainingConfig(tokens_per_step=10**6, micro_batch=1),
    )
    with pytest.raises(DataError, match="one sample needs 1000001"):
        pretrain(shards, config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_directory_that_cannot_be_written_is_one_sentence(
    shards: Artifact, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        pretrain(shards, config_of(), tmp_path / "file" / "out")


def test_sigterm_saves_and_ends(shards: Artifact, tmp_path: Path) -> None:
    class Terminated(Callback):
        def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
            if step == 6:
                signal.raise_signal(signal.SIGTERM)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(SystemExit):
        pretrain(shards, config_of(save_every=12), tmp_path, callbacks=[Terminated()])
    assert last(tmp_path).name == "step-00000006"


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text(json.dumps({"step": 1, "a": 2.0}) + '\n{"step": 2, "a"')
    assert read_records(file) == [{"step": 1, "a": 2.0}]


def test_a_run_begins_as_the_model_it_is_given(
    shards: Artifact, undisturbed: tuple[Path, Heard], tmp_path: Path
) -> None:
    first = read_artifact(last(undisturbed[0]), "checkpoint")
    config, heard = config_of(steps=4), Heard()
    pretrain(shards, config, tmp_path / "on", callbacks=[heard], initial=first)
    fresh = Heard()
    pretrain(shards, config, tmp_path / "fresh", callbacks=[fresh])
    assert heard.metrics[0][1]["train/loss"] < fresh.metrics[0][1]["train/loss"] - 0.01
    with pytest.raises(CheckpointError, match="did not begin as the same model"):
        pretrain(shards, config_of(steps=4), tmp_path / "on")


def test_a_model_of_another_shape_or_tokenizer_is_not_begun_as(
    shards: Artifact,
    undisturbed: tuple[Path, Heard],
    corpus: Artifact,
    tmp_path: Path,
) -> None:
    first = read_artifact(last(undisturbed[0]), "checkpoint")
    deeper = dataclasses.replace(config_of().model, n_layer=3)
    with pytest.raises(CheckpointError, match="n_layer"):
        pretrain(
            shards, dataclasses.replace(config_of(), model=deeper), tmp_path / "a", initial=first
        )
    kind = TokenizerConfig(kind="bpe", vocab_size=257)
    other = encode_corpus(
        corpus,
        train_tokenizer(corpus, kind, tmp_path / "t"),
        ShardConfig(workers=1),
        tmp_path / "s",
    )
    with pytest.raises(CheckpointError, match="different tokenizers"):
        pretrain(other, config_of(), tmp_path / "b", initial=first)
    assert not (tmp_path / "b").exists()
