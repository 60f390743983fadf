"""The disk of Prefect's and MLflow's databases is full for a while: nothing is lost or doubled."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import eventually

from gpt_core.callbacks import read_records

pytestmark = [pytest.mark.long, pytest.mark.soak, pytest.mark.timeout(900)]

STEPS = 1500
SETTINGS = (
    "name=full",
    f"training.steps={STEPS}",
    "training.log_every=1",
    f"training.eval_every={STEPS}",
    f"training.sample_every={STEPS}",
    "training.save_every=500",
)
DISK_BYTES = 96 << 20
FULL_SECONDS = 20.0


@pytest.fixture
def disks(cli: Any) -> Iterator[list[Path]]:
    """The folders of both databases, each on a small file system in memory."""
    folders = [cli.home / name for name in (".prefect", "mlflow")]
    mounted = []
    for folder in folders:
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
        with contextlib.suppress(OSError):
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                mounted.append(folder)
    if mounted != folders:
        pytest.skip("this user may not mount a small disk (as root in a container: CAP_SYS_ADMIN)")
    yield folders
    cli.run("down")
    for folder in folders:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk of a folder to the last byte; the file that does."""
    filler = folder / "filler"
    for size in (1 << 20, 1):
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
            while file.write(bytes(size)):
                pass
    return filler


def metrics(cli: Any) -> Path:
    return next(cli.home.glob("data/checkpoints/full-*/metrics.jsonl"), cli.home / "none")


def steps(cli: Any) -> list[int]:
    """The steps of which the training has recorded a loss."""
    if not metrics(cli).is_file():
        return []
    return [row["step"] for row in read_records(metrics(cli)) if "train/loss" in row]


def test_a_full_disk_of_both_databases_delays_records_and_loses_none(
    cli: Any, small: list[str], disks: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "output"
    process = cli.start("pretrain", *small, *SETTINGS, output=output)
    eventually(lambda: len(steps(cli)) > 50)
    fillers = [fill(folder) for folder in disks]
    before = len(steps(cli))
    time.sleep(FULL_SECONDS)
    assert len(steps(cli)) > before, "training does not wait for the databases"
    for filler in fillers:
        filler.unlink()
    assert process.wait(timeout=600) == 0, output.read_text("utf-8")
    printed = output.read_text("utf-8")
    assert "Traceback" not in printed, printed
    waits = "MLflow takes no metrics (database or disk is full): they wait and are sent later"
    assert printed.count(waits) == 1, printed
    (run,) = cli.ask_prefect("flow_runs", {})
    assert run["state_type"] == "COMPLETED"
    store = cli.mlflow_client()
    experiments = [each.experiment_id for each in store.search_experiments()]
    recorded = store.search_runs(experiments)
    assert {each.info.status for each in recorded} == {"FINISHED"}
    (trained,) = [each for each in recorded if each.info.run_name == "pretrain full"]
    history = store.get_metric_history(trained.info.run_id, "train/loss")
    assert sorted(each.step for each in history) == list(range(1, STEPS + 1))
    assert not list(cli.home.glob("data/unsent/*")), "nothing waits to be sent"
