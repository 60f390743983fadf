"""Vulnerabilities fail the audit unless they are ignored with a reason."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "audit.py"
FOUND = [
    {"name": "sound", "version": "1.0", "vulns": []},
    {
        "name": "broken",
        "version": "2.0",
        "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-9"], "fix_versions": ["2.1"]}],
    },
]


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_vulnerability_fails(audit: ModuleType) -> None:
    code, lines = audit.judge(FOUND, {})
    assert code == 1
    assert lines == ["broken 2.0: PYSEC-1, fixed in 2.1", "2 packages, 1 vulnerabilities"]


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-9"])
def test_one_that_is_ignored_is_shown_with_its_reason(audit: ModuleType, name: str) -> None:
    code, lines = audit.judge(FOUND, {name: "no such call"})
    assert code == 0
    assert lines[0].endswith("ignored: no such call")


def test_no_answer_is_said_and_fails_nothing(audit: ModuleType) -> None:
    code, (line,) = audit.judge(None, {})
    assert code == 0
    assert "not reachable" in line
