"""The doctor finds what this machine has and says how to get what is missing."""

import importlib.metadata
import os
from pathlib import Path

import pytest

from flows.doctor import findings


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return lambda: {line.split()[1]: line for line in findings()}


def test_an_empty_home_is_fine_and_stays_empty(lines: object, tmp_path: Path) -> None:
    found = lines()
    assert found["torch"].startswith("✓ torch")
    assert found["Prefect"] == "- Prefect server   not running: a run starts it"
    assert found["models"] == "- models           none yet: gptflow run"
    assert "samples" in found["sources"]
    assert not (tmp_path / "home").exists()


def test_a_missing_package_is_named_with_the_way_to_install_it(
    lines: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("torch", "peft"):
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = lines()
    assert found["torch"] == "✗ torch            not installed: make run installs it"
    assert found["peft"].startswith("- peft")
    assert found["peft"].endswith("only for LoRA: pip install 'gptflow[lora]'")


def test_a_folder_that_cannot_be_written_is_marked(
    lines: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = lines()
    assert found["disk"].startswith("✗ disk")
    assert found["disk"].endswith(", which is read-only")
