"""One training on a device: the second waits and says for whom; a killed one frees its device."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path

import pytest

from gpt_core.config import ClassificationConfig, LaunchConfig, RunConfig
from gpt_core.errors import ConfigError
from tasks import devices
from tasks.devices import devices_of, hold_devices
from tasks.progress import Display, use_display

HOLD = """
import sys
from tasks.devices import hold_devices
with hold_devices(["cuda-0"], "first"):
    print("ready", flush=True)
    sys.stdin.read()
"""


class Notices(Display):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def notice(self, message: str) -> None:
        self.shown.append(message)


@pytest.fixture(autouse=True)
def machine(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of which no other test knows."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(devices, "_POLL_SECONDS", 0.05)
    monkeypatch.delenv(devices.PER_DEVICE, raising=False)


@pytest.fixture
def first(tmp_path: Path, project_root: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process of another home that holds a GPU."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=project_root, text=True,
        env={**os.environ, "GPTFLOW_HOME": str(tmp_path / "other")},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def holding(device: str) -> tuple[threading.Thread, Notices]:
    """A thread that takes a device and lets it go, and what it says meanwhile."""

    def hold() -> None:
        with hold_devices([device], "second"):
            pass

    shown = Notices()
    with use_display(shown):
        thread = threading.Thread(target=copy_context().run, args=(hold,), daemon=True)
    thread.start()
    return thread, shown


def test_a_training_waits_for_that_of_another_home_until_it_is_killed(
    first: "subprocess.Popen[str]",
) -> None:
    thread, notices = holding("cuda-0")
    thread.join(1.0)
    assert thread.is_alive()
    (notice,) = notices.shown
    assert notice.startswith("cuda-0 trains the run first since 20")
    assert notice.endswith(f"(process {first.pid}): waiting for its end")
    first.kill()
    thread.join(30.0)
    assert not thread.is_alive()


def test_other_devices_and_the_cpu_of_another_home_are_free(
    first: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with hold_devices(["cpu"], "first"):
        monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path / "neighbour"))
        for device in ("cuda-1", "cpu"):
            thread, notices = holding(device)
            thread.join(30.0)
            assert not thread.is_alive()
            assert notices.shown == []


def test_several_trainings_share_a_device_if_the_user_wants_it(
    first: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(devices.PER_DEVICE, "2")
    thread, notices = holding("cuda-0")
    thread.join(30.0)
    assert not thread.is_alive()
    assert notices.shown == []


@pytest.mark.parametrize("given", ["", "0", "-1", "two"])
def test_a_number_that_is_none_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.PER_DEVICE, given)
    with (
        pytest.raises(ConfigError, match="GPTFLOW_TRAININGS_PER_DEVICE must be a number of"),
        hold_devices(["cpu"], "first"),
    ):
        pass


def test_a_stage_holds_the_gpus_that_it_trains_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pretraining = RunConfig().pretrain
    assert devices_of({"config": ClassificationConfig(device="cpu")}) == ["cpu"]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    every = {"config": pretraining, "launch_config": LaunchConfig()}
    assert devices_of(every) == ["cuda-0", "cuda-1", "cuda-2", "cuda-3"]
    assert devices_of({**every, "launch_config": LaunchConfig(processes=2)}) == ["cuda-0", "cuda-1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert devices_of(every) == ["cuda-2", "cuda-3"]
    assert devices_of({"config": ClassificationConfig()}) == ["cuda-2"]
