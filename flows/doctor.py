"""What this machine has and what is missing."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator

from gpt_core.models.speed import describe_device
from tasks.paths import data_dir, project_root
from tasks.servers import running_prefect_server
from tasks.sources import public_sources

_PACKAGES = ("torch", "prefect", "mlflow", "sentencepiece", "tiktoken", "pyarrow", "peft")
_ENOUGH_BYTES = 5_000_000_000


def findings() -> Iterator[str]:
    """One line for each thing that a run needs."""
    yield _line(True, "Python", platform.python_version())
    for package in _PACKAGES:
        try:
            yield _line(True, package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            hint = "pip install 'gptflow[lora]'" if package == "peft" else "make run"
            yield _line(False, package, f"not installed: {hint}")
    yield _line(True, "device", f"{describe_device()}, {os.cpu_count()} cores")
    free = shutil.disk_usage(project_root()).free
    yield _line(free > _ENOUGH_BYTES, "disk", f"{free / 1e9:.0f} GB free at {project_root()}")
    url = running_prefect_server()
    yield _line(True, "Prefect server", url or "not running: a run starts one")
    here = [name for name in public_sources() if (data_dir() / "raw" / name).is_dir()]
    yield _line(True, "sources here", ", ".join(["samples", *here]))


def _line(good: bool, name: str, text: str) -> str:
    return f"{'✓' if good else '✗'} {name:<16}{text}"
