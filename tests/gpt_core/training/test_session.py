"""Between steps a session logs, evaluates, samples, saves and stops."""

import signal
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback
from gpt_core.checkpoints import TOKENIZER
from gpt_core.config import DecodingConfig
from gpt_core.data import ShardReader, sequential_batches
from gpt_core.errors import DivergenceError
from gpt_core.evaluation import summed_loss
from gpt_core.generation import continue_text
from gpt_core.models import load_model
from gpt_core.tokenizers import load_tokenizer
from gpt_core.training import pretrain
from gpt_core.training.checkpoint import best_checkpoint


def test_every_event_comes_at_its_multiples_and_at_the_last_step(
    shards: Artifact, config_of, recorder, timeless_metrics, tmp_path: Path
) -> None:
    config = config_of(
        steps=7, log_every=2, eval_every=3, save_every=4, sample_every=5, keep_last=9
    )
    pretrain(shards, config, tmp_path, callbacks=[recorder])
    assert list(recorder.values("train/loss")) == [2, 4, 6, 7]
    assert list(recorder.values("validation/loss")) == [3, 6, 7]
    assert [step for step, _ in recorder.saved] == [4, 7]
    assert [step for step, _ in recorder.samples] == [5, 7]
    assert recorder.ended == [7]
    assert len(timeless_metrics(tmp_path)) == 4 + 3
    saved = [checkpoint.metrics() for _, checkpoint in recorder.saved]
    assert [metrics["step"] for metrics in saved] == [4.0, 7.0]
    assert ["validation_loss" in metrics for metrics in saved] == [False, True]


def test_the_run_is_described_when_it_starts(uninterrupted) -> None:
    out, recorder = uninterrupted
    (run,) = recorder.runs
    parameters = load_model(recorder.saved[-1][1].directory).parameters()
    assert run.n_parameters == sum(parameter.numel() for parameter in parameters)
    assert (run.total_steps, run.first_step, run.tokens_per_step) == (12, 0, 256)
    assert (run.device, run.precision, run.out_dir) == ("cpu", "fp32", out)


def test_checkpoints_are_reported_by_the_training_thread(
    shards: Artifact, config_of, tmp_path: Path
) -> None:
    threads = []

    class Saved(Callback):
        def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
            threads.append(threading.current_thread())

    pretrain(shards, config_of(), tmp_path, callbacks=[Saved()])
    assert threads == [threading.main_thread()] * 3


def test_only_the_newest_and_the_best_checkpoints_are_kept(
    shards: Artifact, config_of, tmp_path: Path
) -> None:
    pretrain(shards, config_of(save_every=2, keep_last=1, eval_every=12), tmp_path)
    assert [path.name for path in sorted(tmp_path.glob("step-*"))] == ["step-00000012"]


def test_the_average_is_evaluated_sampled_from_and_saved(
    shards: Artifact, config_of, recorder, tmp_path: Path
) -> None:
    config = config_of(ema_decay=0.9, sample_every=4, optimizer={"learning_rate": 0.05})
    config = replace(config, generation=DecodingConfig(max_new_tokens=48))
    pretrain(shards, config, tmp_path, callbacks=[recorder])
    step, checkpoint = recorder.saved[-1]
    model = load_model(checkpoint.directory)  # has the average
    held_out = ShardReader(shards.directory, "validation")
    total, count = summed_loss(model, sequential_batches(held_out, 32, 4, 512), "cpu")
    assert recorder.values("validation/loss")[step] == pytest.approx(total / count, abs=1e-6)
    tokenizer = load_tokenizer(shards.directory / TOKENIZER)
    text = "".join(continue_text(model, tokenizer, "", config.generation))
    assert recorder.samples[-1] == (step, text)


def test_a_run_ends_when_its_patience_ends(
    shards: Artifact, config_of, recorder_of, tmp_path: Path
) -> None:
    config = config_of(
        steps=100, patience=2, eval_every=2, save_every=2, sample_every=100,
        optimizer={"learning_rate": 1.0},
    )  # fmt: skip
    recorder, again = recorder_of(), recorder_of()
    best = pretrain(shards, config, tmp_path, callbacks=[recorder])
    assert "2 evaluations without a lower validation loss" in recorder.notices[0]
    losses = list(recorder.values("validation/loss").values())
    assert recorder.ended[0] < 100
    assert min(losses) == losses[-3] == best.metrics()["validation_loss"]
    assert pretrain(shards, config, tmp_path, callbacks=[again]) == best
    assert again.runs == []


def test_a_diverged_loss_stops_the_run_and_names_the_last_good_checkpoint(
    shards: Artifact, config_of, tmp_path: Path
) -> None:
    config = config_of(save_every=2, optimizer={"learning_rate": 1e30, "max_grad_norm": None})
    with pytest.raises(DivergenceError, match=r"the loss of step \d+ is not a number") as caught:
        pretrain(shards, config, tmp_path)
    assert "checkpoint" in str(caught.value)


def test_a_jump_of_the_loss_stops_a_run_that_does_not_skip(
    shards: Artifact, config_of, tmp_path: Path
) -> None:
    config = config_of(steps=60, spike_factor=1.0, optimizer={"learning_rate": 1e-9})
    with pytest.raises(DivergenceError, match=r"has jumped to .*training\.bad_step=skip"):
        pretrain(shards, config, tmp_path)


class Interrupted(Callback):
    """Sends this process a signal in an event of a step."""

    def __init__(self, number: signal.Signals, step: int, event: str) -> None:
        self._number, self._step, self._event = number, step, event

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self._receive(step, "evaluation" if "validation/loss" in metrics else "training")

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        self._receive(step, "sampling")

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        self._receive(step, "saving")

    def _receive(self, step: int, event: str) -> None:
        if (step, event) == (self._step, self._event):
            signal.raise_signal(self._number)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_saves_a_checkpoint_and_ends_the_process(
    shards: Artifact, config_of, newest, tmp_path: Path, number: signal.Signals,
    error: type[BaseException],
) -> None:  # fmt: skip
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(error):
        interrupted = Interrupted(number, 6, "training")
        pretrain(shards, config_of(save_every=12), tmp_path, callbacks=[interrupted])
    assert newest(tmp_path).directory.name == "step-00000006"


@pytest.mark.parametrize("event", ["training", "evaluation", "sampling", "saving"])
def test_a_signal_in_the_last_step_ends_the_process_when_it_is_saved(
    shards: Artifact, config_of, newest, uninterrupted, tmp_path: Path, event: str
) -> None:
    with pytest.raises(SystemExit, match=str(128 + signal.SIGTERM)):
        interrupted = Interrupted(signal.SIGTERM, 12, event)
        pretrain(shards, config_of(), tmp_path, callbacks=[interrupted])
    last = newest(tmp_path)
    assert last.fingerprint == newest(uninterrupted[0]).fingerprint
    best = pretrain(shards, config_of(), tmp_path)
    assert best.fingerprint == best_checkpoint(uninterrupted[0]).fingerprint
