"""A fine-tune that is stopped continues from its last checkpoint and ends with the same bits."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, RunInfo, read_records
from gpt_core.checkpoints import list_steps
from gpt_core.config import ClassificationConfig, GPTConfig, InstructionConfig, LoRAConfig
from gpt_core.errors import CheckpointError
from gpt_core.finetuning import finetune_classifier, finetune_instructions
from gpt_core.models import build_model

CLASSIFY = ClassificationConfig(
    epochs=3, learning_rate=5e-3, batch_size=32, micro_batch=12, patience=2, label_smoothing=0.1,
    language_model_weight=0.5, layer_decay=0.9, save_seconds=0.0,
)  # fmt: skip
INSTRUCT = InstructionConfig(
    template="short", epochs=2, learning_rate=3e-3, max_new_tokens=3, save_seconds=0.0
)
WHOLE, ADAPTERS = LoRAConfig(), LoRAConfig(rank=2, dropout=0.2)
ENDED = 1000


class Killed(BaseException):
    """The end of a process."""


class Witness(Callback):
    """Kills the run once it has a checkpoint of a step; keeps each metric by its step."""

    def __init__(self, last: int = ENDED, folder: Path | None = None) -> None:
        self.last, self.folder = last, folder
        self.first_steps: list[int] = []
        self.records: list[dict[str, Any]] = []
        self.notices: list[str] = []

    def on_start(self, run: RunInfo) -> None:
        self.first_steps.append(run.first_step)

    def on_notice(self, message: str) -> None:
        self.notices.append(message)

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self.records = read_records(self.folder / "metrics.jsonl") if self.folder else []

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        if step >= self.last:
            raise Killed


@pytest.fixture(scope="module")
def base(byte_tokenizer: Artifact, write_checkpoint: Callable[..., Artifact]) -> Artifact:
    """A model with dropout, which depends on the random numbers drawn before."""
    shape = GPTConfig(
        n_layer=2, n_head=2, n_embd=32, vocab_size=257, context_length=96, dropout=0.1
    )
    return write_checkpoint(build_model(shape, seed=11), byte_tokenizer)


Run = Callable[[Path, Callback], Artifact]


@pytest.fixture(params=["classifier", "classifier with adapters", "instructions"])
def run(
    request: pytest.FixtureRequest, base: Artifact, messages: Artifact, instructions: Artifact
) -> Run:
    """One of the fine-tunes, given its directory and a listener."""
    if request.param == "instructions":
        return lambda out, listener: finetune_instructions(
            base, instructions, INSTRUCT, WHOLE, out, callbacks=[listener]
        )
    lora = ADAPTERS if "adapters" in request.param else WHOLE
    return lambda out, listener: finetune_classifier(
        base, messages, CLASSIFY, lora, out, callbacks=[listener]
    )


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(
    run: Run, tmp_path: Path
) -> None:
    whole = Witness(folder=tmp_path / "whole")
    undisturbed = run(tmp_path / "whole", whole)
    killed = tmp_path / "killed"
    last = 0
    for step in (2, 5, 11):  # within epochs and at an end
        witness = Witness(step, killed)
        with pytest.raises(Killed):
            run(killed, witness)
        assert witness.first_steps == [max(last, 0)]
        assert len(list_steps(killed)) == 1
        last = int(list_steps(killed)[0].name.removeprefix("step-"))
    witness = Witness(folder=killed)
    result = run(killed, witness)
    assert witness.first_steps == [last]
    assert result.fingerprint == undisturbed.fingerprint
    assert result.metrics() == undisturbed.metrics()
    assert timeless(witness.records) == timeless(whole.records)
    steps = Counter(row["step"] for row in witness.records if "train/loss" in row)
    assert set(steps.values()) == {1}
    assert not list_steps(killed), "the checkpoints are gone when the model is there"


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: v for name, v in row.items() if "per_second" not in name} for row in rows]


def test_sigterm_saves_a_checkpoint_and_ends_the_process(
    base: Artifact, messages: Artifact, tmp_path: Path
) -> None:
    config, out = replace(CLASSIFY, save_seconds=1e9), tmp_path / "out"

    class Terminator(Callback):
        def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
            if step == 10:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as ended:
        finetune_classifier(base, messages, config, WHOLE, out, callbacks=[Terminator()])
    assert ended.value.code == 143
    assert [path.name for path in list_steps(out)] == ["step-00000010"]
    witness = Witness(folder=out)
    resumed = finetune_classifier(base, messages, config, WHOLE, out, callbacks=[witness])
    whole = finetune_classifier(base, messages, config, WHOLE, tmp_path / "whole")
    assert (witness.first_steps, resumed.fingerprint) == ([10], whole.fingerprint)


def test_checkpoints_of_other_settings_or_a_damaged_one_are_not_continued(
    base: Artifact, messages: Artifact, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Killed):
        finetune_classifier(base, messages, CLASSIFY, WHOLE, out, callbacks=[Witness(3)])
    other = replace(CLASSIFY, batch_size=8)
    with pytest.raises(
        CheckpointError, match="belongs to another run: batch_size was 32, is now 8"
    ):
        finetune_classifier(base, messages, other, WHOLE, out)
    state = next(out.glob("step-*/training_state.pt"))
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    witness = Witness(2)
    with pytest.raises(Killed):
        finetune_classifier(base, messages, CLASSIFY, WHOLE, out, callbacks=[witness])
    assert witness.first_steps == [0]
    assert any("was altered" in notice for notice in witness.notices)
