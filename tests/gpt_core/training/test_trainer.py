"""One training step at a time, with state that resumes to the same bits."""

import copy
import math

import pytest
import torch

from gpt_core.callbacks import Callback
from gpt_core.errors import DivergenceError
from gpt_core.execution.ranks import Ranks
from gpt_core.training.trainer import seed_dropout


def test_a_restored_trainer_continues_with_the_same_bits(config_of, trainer_of, tmp_path) -> None:
    first, second = trainer_of(config_of()), trainer_of(config_of())
    for _ in range(3):
        first.train_step()
    state = copy.deepcopy(first.state())
    second.model.load_state_dict(first.model.state_dict())
    for _ in range(3):
        first.train_step()
    torch.manual_seed(99)
    second.restore(state, tmp_path)
    assert second.step == 3
    for _ in range(3):
        second.train_step()
    assert second.metrics["train_loss"] == first.metrics["train_loss"]
    assert second.loader.state() == first.loader.state()
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_state_has_the_best_loss_and_the_patience_spent(
    config_of, trainer_of, tmp_path
) -> None:
    config = config_of(patience=2)
    first, second = trainer_of(config), trainer_of(config)
    first.evaluate()
    first.evaluate()  # the same loss is no new best one
    assert not first.out_of_patience
    second.restore(copy.deepcopy(first.state()), tmp_path)
    assert second.metrics["validation_loss"] == first.metrics["validation_loss"]
    second.evaluate()
    assert second.out_of_patience
    assert second.state()["best_loss"] == first.state()["best_loss"] < math.inf


def test_a_step_logs_the_learning_rate_of_the_schedule(config_of, trainer_of, recorder) -> None:
    trainer = trainer_of(config_of(log_every=1, optimizer={"learning_rate": 0.5}), recorder)
    for _ in range(3):
        trainer.train_step()
    rates = recorder.values("train/learning_rate")
    assert (rates[1], rates[2]) == (0.25, 0.5), "two warm-up steps"
    assert rates[3] < 0.5
    assert list(recorder.values("train/tokens").values()) == [256.0, 512.0, 768.0]


def test_the_throughput_leaves_evaluations_out(
    config_of, trainer_of, recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    trainer = trainer_of(config_of(log_every=2), recorder)
    validation = trainer._validation

    def slow():
        now[0] += 100.0
        return validation()

    trainer._validation = slow
    for _ in range(2):
        now[0] += 1.0
        trainer.train_step()
        trainer.evaluate()
    assert recorder.values("train/tokens_per_second") == {2: 256.0}


def test_steps_whose_loss_jumps_are_skipped_and_reported(config_of, trainer_of, recorder) -> None:
    config = config_of(
        steps=60, log_every=1, bad_step="skip", spike_factor=1.0, micro_batch=8,
        optimizer={"learning_rate": 1e-9},
    )  # fmt: skip
    trainer = trainer_of(config, recorder)
    for _ in range(60):
        trainer.train_step()
    skipped = recorder.values("train/skipped_steps")[60]
    assert 0 < skipped == len(recorder.notices) < 40
    assert "has jumped to" in recorder.notices[0]
    assert "of the data's order): it is left out" in recorder.notices[0]
    left_out = [step for step, metrics in recorder.metrics if "train/update_ratio" not in metrics]
    assert len(left_out) == skipped
    assert not set(left_out) & recorder.values("train/loss").keys()


def test_a_run_in_which_every_step_is_bad_stops(config_of, trainer_of) -> None:
    config = config_of(
        steps=60, bad_step="skip", optimizer={"learning_rate": 1e30, "max_grad_norm": None}
    )
    trainer = trainer_of(config)
    with pytest.raises(DivergenceError, match="like those of the 20 steps before it"):
        for _ in range(60):
            trainer.train_step()


def test_a_bad_step_is_described_with_its_samples(config_of, trainer_of) -> None:
    trainer = trainer_of(config_of())
    assert trainer.describe_bad_step() is None
    trainer.train_step()
    with torch.no_grad():
        trainer.model.ln_f.weight.fill_(math.nan)
    trainer.train_step()
    expected = "the loss of step 2 is not a number (samples 8 to 16 of the data's order)"
    assert trainer.describe_bad_step() == expected


def test_without_validation_text_nothing_is_evaluated(config_of, trainer_of, recorder) -> None:
    trainer = trainer_of(config_of(), recorder)
    trainer._validation = None
    trainer.evaluate()
    assert recorder.metrics == []
    assert isinstance(recorder, Callback)


def test_ranks_draw_different_dropout_masks() -> None:
    draws = []
    for ranks in (Ranks(), Ranks(0, 2), Ranks(1, 2)):
        seed_dropout(7, ranks)
        draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[1], draws[2])
