"""Check this machine and this home: what there is, what is missing, and what is broken."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator

from gpt_core.cores import usable_cores
from gpt_core.training.throughput import describe_device
from tasks.diagnosis import Finding, diagnose
from tasks.paths import data_dir, newest_checkpoint, project_root
from tasks.servers import connect_to_prefect, running_prefect_server
from tasks.sources import PublicSource, placed_file, public_sources

_PACKAGES = ("torch", "prefect", "mlflow", "sentencepiece", "tiktoken", "pyarrow")
_EXTRAS = {"peft": "LoRA", "transformers": "benchmarks"}
_BROKEN = "✗"
_ENOUGH_DISK, _ENOUGH_MEMORY = 5e9, 4e9  # bytes, plenty for the preset tiny


def findings() -> Iterator[str]:
    """One line for each requirement of a run, marked ✓ present, ✗ missing or - optional."""
    yield _line(True, "Python", platform.python_version())
    for package in _PACKAGES:
        found = _version(package)
        yield _line(bool(found), package, found or "not installed: make run installs it")
    for package, purpose in _EXTRAS.items():
        found = _version(package)
        extra = "lora" if package == "peft" else "bench"
        missing = f"not installed, only for {purpose}: pip install 'gptflow[{extra}]'"
        yield _line(bool(found), package, found or missing, optional=True)
    yield _line(True, "device", f"{describe_device()}, {usable_cores()} cores")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield _line(memory > _ENOUGH_MEMORY, "memory", f"{memory / 1e9:.1f} GB")
    yield _disk()
    url = running_prefect_server()
    yield _line(bool(url), "Prefect server", url or "not running: a run starts it", optional=True)
    yield _sources()
    newest = newest_checkpoint()
    yield _line(newest is not None, "models", str(newest or "none yet: gptflow run"), optional=True)
    yield from map(_describe, diagnose())
    if url:
        yield from map(_describe, _diagnose_prefect())


def _diagnose_prefect() -> Iterator[Finding]:
    connect_to_prefect()
    from tasks.prefect_diagnosis import diagnose_prefect  # Prefect reads its settings now

    return diagnose_prefect()


def is_broken(line: str) -> bool:
    """Whether a line says that something is broken or missing."""
    return line.startswith(_BROKEN)


def _describe(finding: Finding) -> str:
    good, optional = finding.state == "good", finding.state == "note"
    return _line(good, finding.name, finding.text, optional=optional)


def _disk() -> str:
    root = project_root()
    there = next(folder for folder in (root, *root.parents) if folder.is_dir())
    free, writable = shutil.disk_usage(there).free, os.access(there, os.W_OK)
    text = f"{free / 1e9:.0f} GB free at {root}" + ("" if writable else ", which is read-only")
    return _line(free > _ENOUGH_DISK and writable, "disk", text)


def _sources() -> str:
    here = [name for name, source in public_sources().items() if _is_here(name, source)]
    text = ", ".join(["samples", *here])
    return _line(True, "sources here", f"{text} (in {data_dir()})")


def _is_here(name: str, source: PublicSource) -> bool:
    return placed_file(name, source).is_file()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _line(good: bool, name: str, text: str, *, optional: bool = False) -> str:
    mark = "✓" if good else "-" if optional else _BROKEN
    return f"{mark} {name:<17}{text}"
