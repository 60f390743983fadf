"""Training in several processes: their events and errors arrive, and none is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, RunInfo, read_records
from gpt_core.config import ComputeConfig, LaunchConfig, PretrainConfig, load_config
from gpt_core.errors import CheckpointError, ConfigError, DivergenceError, GPTCoreError
from gpt_core.training import latest_checkpoint
from tasks.launch import _raise_failure, count_processes, train

TWO = LaunchConfig(processes=2)


@pytest.fixture(autouse=True)
def patient_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")


def config_of(**training: object) -> PretrainConfig:
    settings = [
        "model.n_layer=1", "model.n_head=2", "model.n_embd=16", "model.context_length=16",
        "training.steps=6", "training.tokens_per_step=128", "training.micro_batch=4",
        "training.log_every=2", "training.eval_every=3", "training.save_every=3",
        "training.sample_every=6", "generation.max_new_tokens=4", "schedule.warmup_steps=2",
        *(f"training.{name}={value}" for name, value in training.items()),
    ]  # fmt: skip
    return load_config("tiny", settings=settings).pretrain


class Recorder(Callback):
    """Records the events of a run, and may do something at a step."""

    def __init__(self, at_step: int | None = None, action: object = None) -> None:
        self.events: list[object] = []
        self._at_step, self._action = at_step, action

    def on_start(self, run: RunInfo) -> None:
        self.events.append(run)

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self.events.append((step, dict(metrics)))
        if self._at_step is not None and step >= self._at_step and callable(self._action):
            self._action()

    def on_sample(self, step: int, prompt: str, text: str) -> None:
        self.events.append(("sample", step))

    def on_checkpoint(self, step: int, checkpoint: Artifact) -> None:
        self.events.append(("saved", step, checkpoint))

    def on_end(self, step: int) -> None:
        self.events.append(("end", step))


def workers(folder: Path) -> list[int]:
    """The worker processes whose command line names a folder."""
    lines = subprocess.run(
        ["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True
    )
    found = [line.split(None, 1) for line in lines.stdout.splitlines()]
    return [int(pid) for pid, command in found if str(folder) in command and "worker" in command]


def test_the_events_of_rank_0_arrive(sample_shards: Artifact, tmp_path: Path) -> None:
    recorder = Recorder()
    checkpoint = train(sample_shards, config_of(), tmp_path / "run", TWO, [recorder])
    first = recorder.events[0]
    assert isinstance(first, RunInfo)
    assert (first.total_steps, first.out_dir) == (6, tmp_path / "run")
    assert first.device == "2 × cpu, replicas (DDP)"
    steps = [event[0] for event in recorder.events[1:] if isinstance(event, tuple)]
    assert steps.count("sample") == 2
    assert ("saved", 6, checkpoint) in recorder.events
    assert recorder.events[-1] == ("end", 6)
    received = [
        row for row in recorder.events if isinstance(row, tuple) and isinstance(row[0], int)
    ]
    kept = [(row.pop("step"), row) for row in read_records(tmp_path / "run" / "metrics.jsonl")]
    assert received == kept


def test_an_error_of_a_process_is_raised_with_its_message(
    sample_shards: Artifact, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    train(sample_shards, config_of(), out, TWO, [])
    with pytest.raises(CheckpointError, match=r"training.seed was 1337, is now 7"):
        train(sample_shards, config_of(seed=7), out, TWO, [])
    diverging = replace(
        config_of(steps=40),
        optimizer=replace(config_of().optimizer, learning_rate=1e9, max_grad_norm=None),
    )
    with pytest.raises(DivergenceError, match="is not a number"):
        train(sample_shards, diverging, tmp_path / "diverging", TWO, [])


def test_a_killed_process_is_named_and_its_checkpoints_are_kept(
    sample_shards: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    out, config = tmp_path / "run", config_of(steps=4000, log_every=50, eval_every=4000)
    victims: list[int] = []

    def kill() -> None:
        if not victims:
            victims.append(max(workers(tmp_path)))
            os.kill(victims[0], signal.SIGKILL)

    with pytest.raises(GPTCoreError, match=r"process [01] of 2 .* was ended by SIGKILL"):
        train(sample_shards, config, out, TWO, [Recorder(50, kill)])
    assert workers(tmp_path) == []
    checkpoint, _ = latest_checkpoint(out)
    assert checkpoint is not None


def test_processes_save_and_end_when_the_launcher_is_killed(
    sample_shards: Artifact, tmp_path: Path, project_root: Path
) -> None:
    script = tmp_path / "launcher.py"
    script.write_text(
        textwrap.dedent("""
        import sys
        from pathlib import Path
        from gpt_core.artifact import read_artifact
        from gpt_core.config import LaunchConfig, load_config
        from tasks.launch import train

        config = load_config("tiny", settings=sys.argv[3:]).pretrain
        shards = read_artifact(Path(sys.argv[1]))
        train(shards, config, Path(sys.argv[2]), LaunchConfig(processes=2), [])
        """),
        encoding="utf-8",
    )
    settings = [
        "model.n_layer=1", "model.n_head=2", "model.n_embd=16", "model.context_length=16",
        "training.steps=100000", "training.tokens_per_step=128", "training.micro_batch=4",
        "training.save_every=100000", "training.eval_every=100000", "training.sample_every=100000",
    ]  # fmt: skip
    out = tmp_path / "run"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(project_root)}
    launcher = subprocess.Popen(
        [sys.executable, str(script), sample_shards.path, str(out), *settings], env=environment
    )
    wait_until(lambda: len(read_records(out / "metrics.jsonl")) > 3)
    launcher.kill()
    launcher.wait()
    wait_until(lambda: not workers(tmp_path))
    checkpoint, notices = latest_checkpoint(out)
    assert checkpoint is not None
    assert notices == []
    step = checkpoint.manifest().info_int("step")
    assert step >= read_records(out / "metrics.jsonl")[-1]["step"]


def wait_until(holds: object) -> None:
    until = time.monotonic() + 120
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.1)


def test_on_sigterm_processes_save_and_the_task_exits_as_they_do(
    sample_shards: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    asked: list[int] = []

    def ask() -> None:
        if not asked:
            asked.append(min(workers(tmp_path)))  # torchrun itself, which forwards the signal
            os.kill(asked[0], signal.SIGTERM)

    config = config_of(steps=100_000, eval_every=100_000, save_every=100_000, log_every=50)
    with pytest.raises(SystemExit, match="143"):
        train(sample_shards, config, tmp_path / "run", TWO, [Recorder(50, ask)])
    checkpoint, _ = latest_checkpoint(tmp_path / "run")
    assert checkpoint is not None


def test_a_single_process_is_this_one(sample_shards: Artifact, tmp_path: Path) -> None:
    recorder = Recorder()
    train(sample_shards, config_of(), tmp_path / "run", LaunchConfig(), [recorder])
    assert isinstance(recorder.events[0], RunInfo)
    assert recorder.events[0].device == "cpu"


def test_a_step_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"set training\.micro_batch=16"):
        load_config("tiny", settings=["launch.processes=2", "training.micro_batch=32"])
    with pytest.raises(ConfigError, match=r"multiple of 384"):
        load_config("tiny", settings=["launch.processes=3"])


def test_by_default_there_is_one_process_per_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_processes(LaunchConfig(), ComputeConfig()) == 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert count_processes(LaunchConfig(), ComputeConfig()) == 4
    assert count_processes(LaunchConfig(processes=2), ComputeConfig()) == 2
    assert count_processes(LaunchConfig(processes=8), ComputeConfig(device="cpu")) == 8
    with pytest.raises(ConfigError, match="there are 4 GPUs: set it to at most 4"):
        count_processes(LaunchConfig(processes=8), ComputeConfig())


def test_an_unexpected_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("".join(f"line {i}\n" for i in range(40)), encoding="utf-8")
    (tmp_path / "exit-codes.json").write_text('{"0": 1, "1": -15}', encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"line 28\n(.*\n)*line 39$"):
        _raise_failure(tmp_path, 2)


def test_the_rank_that_died_first_is_named_not_the_one_that_gloo_aborts(
    tmp_path: Path,
) -> None:
    (tmp_path / "exit-codes.json").write_text('{"0": -6, "1": -9}', encoding="utf-8")
    with pytest.raises(GPTCoreError, match=r"process 1 of 2 .* was ended by SIGKILL"):
        _raise_failure(tmp_path, 2)
