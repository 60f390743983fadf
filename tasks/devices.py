"""One training on a device at a time: a run waits for its device and says for which run.

A device is held by a lock of the kernel on a file. It is free at once however its holder ended, and
needs no server: several homes on a machine, each with a Prefect server, take turns at its GPUs, and
losing a server stops no training. GPUs are held among all homes of a user, the CPU among the runs
of a home.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from gpt_core.config import LaunchConfig, PretrainConfig
from gpt_core.durable import make_directory
from gpt_core.errors import ConfigError
from gpt_core.files import write_json
from tasks.paths import running_dir
from tasks.progress import current_display

PER_DEVICE = "GPTFLOW_TRAININGS_PER_DEVICE"
"""The environment variable that lets several trainings share a device; 1 if it is not set."""

_POLL_SECONDS = 0.5


@contextmanager
def hold_devices(devices: list[str], run: str) -> Iterator[None]:
    """Hold devices during the block; waits for those that other trainings hold.

    Args:
        devices: Their names, see ``devices_of``.
        run: The name of the run that holds them, which others see.

    Raises:
        ConfigError: If ``GPTFLOW_TRAININGS_PER_DEVICE`` is no number of trainings.
    """
    with ExitStack() as held:
        for device in sorted(devices):  # in one order, so that two runs never wait for each other
            lock = _acquire(device)
            held.callback(lock.release)
            holder = {"run": run, "since": datetime.now(UTC).isoformat(), "pid": os.getpid()}
            with suppress(OSError):  # it only informs
                write_json(_holder(Path(lock.lock_file)), holder)
        yield


def devices_of(arguments: Mapping[str, object]) -> list[str]:
    """The devices that a stage trains on, such as ``cuda-0``, by its arguments.

    Raises:
        ConfigError: If this machine has no such device.
    """
    from gpt_core.execution import resolve_device

    config, launch = arguments["config"], arguments.get("launch_config")
    wanted = config.compute.device if isinstance(config, PretrainConfig) else config.device  # type: ignore[attr-defined]
    kind = resolve_device(wanted).type
    if kind != "cuda":
        return [kind]
    gpus = _visible_gpus()
    processes = launch.processes if isinstance(launch, LaunchConfig) else 1
    return [f"cuda-{gpu}" for gpu in gpus[: processes or len(gpus)]]


def _visible_gpus() -> list[str]:
    """The GPUs that this process may use, by the names that the machine gives them."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return names or [str(index) for index in range(torch.cuda.device_count())]


def _acquire(device: str) -> FileLock:
    """Lock one of a device's places, when one is free."""
    paths = [_path(device, place) for place in range(_per_device())]
    locks = [FileLock(path) for path in paths]
    waiting = False
    while True:
        for lock in locks:
            with suppress(Timeout):
                lock.acquire(blocking=False)
                return lock
        if not waiting:
            holders = " and ".join(_describe(path) for path in paths)
            current_display().notice(f"{device} trains {holders}: waiting for its end")
            waiting = True
        time.sleep(_POLL_SECONDS)


def _describe(path: Path) -> str:
    """A device's holder: run, time and process."""
    try:
        record = json.loads(_holder(path).read_text(encoding="utf-8"))
        since = datetime.fromisoformat(str(record["since"])).astimezone()
        return f"the run {record['run']} since {since:%Y-%m-%d %H:%M} (process {record['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"


def _per_device() -> int:
    given = os.environ.get(PER_DEVICE, "1")
    if not given.isascii() or not given.isdigit() or int(given) < 1:
        raise ConfigError(f"{PER_DEVICE} must be a number of at least 1, got {given!r:.100}")
    return int(given)


def _path(device: str, place: int) -> Path:
    """The lock of a device's place: in the home for a CPU, else in a folder of this user."""
    folder = running_dir() if device == "cpu" else _machine_folder()
    make_directory(folder)
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in device)
    return folder / f"device-{safe}-{place}.lock"


def _machine_folder() -> Path:
    """A folder that all homes of this user share; that of another user is not used."""
    folder = Path(tempfile.gettempdir()) / f"gptflow-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise ConfigError(f"{folder} belongs to another user: remove it, or set TMPDIR")
    return folder


def _holder(lock: Path) -> Path:
    return lock.with_suffix(".json")
