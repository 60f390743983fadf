"""Training keeps its speed, and ends with the same weights, when Prefect's server dies or hangs."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

SETTINGS = (
    "training.steps=300",
    "training.log_every=1",
    "training.eval_every=150",
    "training.sample_every=300",
    "training.save_every=150",
)
AT_MOST_SECONDS = 150.0
"""From the signal to the end of the run. One call to a server that is away took 76 seconds, and
there was one every five seconds, and several at the end."""


@pytest.fixture(scope="module")
def undisturbed(module_cli: Any, small: list[str]) -> bytes:
    """The weights of a run whose server answers."""
    answer = module_cli.run("pretrain", *small, *SETTINGS, "name=undisturbed")
    assert answer.code == 0, answer.out + answer.err
    assert "server is away" not in answer.out + answer.err
    return weights_of(module_cli, "undisturbed")


def weights_of(cli: Any, name: str) -> bytes:
    """The weights that a run made, which are then out of the way of the next one."""
    (folder,) = cli.home.glob(f"data/checkpoints/{name}-*")
    weights = (folder / "step-00000300" / "model.safetensors").read_bytes()
    folder.rename(folder.parent / f".{folder.name}")  # else the next run takes it from the cache
    return bytes(weights)


def metrics_file(cli: Any, name: str) -> Path:
    return next(cli.home.glob(f"data/checkpoints/*{name}-*/metrics.jsonl"), cli.home / "none")


@pytest.mark.parametrize(
    "sent", [pytest.param(signal.SIGKILL, marks=pytest.mark.soak), signal.SIGSTOP]
)
def test_training_does_not_wait_for_prefect(
    module_cli: Any, small: list[str], undisturbed: bytes, sent: signal.Signals, tmp_path: Path
) -> None:
    name = f"without-{sent.name.lower()}"
    output = tmp_path / "output"
    process = module_cli.start("pretrain", *small, *SETTINGS, f"name={name}", output=output)
    while not metrics_file(module_cli, name).is_file():
        assert process.poll() is None, output.read_text("utf-8")
        time.sleep(0.05)
    record = module_cli.home / ".prefect" / "server.json"
    os.kill(json.loads(record.read_text("utf-8"))["pid"], sent)
    stopped = time.monotonic()
    assert process.wait(timeout=500) == 0, output.read_text("utf-8")
    assert time.monotonic() - stopped < AT_MOST_SECONDS
    printed = output.read_text("utf-8")
    assert printed.count("Prefect's server is away") == 1, printed
    assert "Traceback" not in printed
    assert "Error" not in printed
    assert weights_of(module_cli, name) == undisturbed
    module_cli.run("down")  # a server that hangs would be found by the next run
