"""The project is installed with uv under pip's settings, and with pip where uv is not to be had."""

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "install.py"
CONFIG = """[global]
find-links = /wheels
    /more wheels
extra-index-url = file:///a/simple file:///b/simple
constraint = /global/constraints.txt
cert = /global.pem
[install]
cert = /install.pem
[freeze]
cert = /freeze.pem
"""

# Replaces the programs pip and uv: notes how it was called; exits with 1 if it is to fail.
PROGRAM = """import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    kept = ("UV_", "SSL_", "ALL_PROXY")
    environment = {k: v for k, v in os.environ.items() if k.startswith(kept)}
    file.write(json.dumps([__package__, sys.argv[1:], environment]) + "\\n")
sys.exit(__package__ in os.environ["FAILING"].split(","))
"""


@pytest.fixture(scope="module")
def installer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Not find_spec("pip"): asking for pip's spec makes setuptools leave distutils to Python, and
# torch's compiler needs that of setuptools.
@pytest.mark.skipif(
    not (Path(sysconfig.get_path("purelib")) / "pip").is_dir(),
    reason="the environment has no pip",
)
def test_settings_are_those_that_pip_itself_would_use(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    (tmp_path / "pip.conf").write_text(CONFIG)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_FIND_LINKS", "/from/variable")
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    settings = installer.pip_settings(listed)
    assert settings["find-links"] == "/from/variable"
    assert settings["extra-index-url"].split() == ["file:///a/simple", "file:///b/simple"]
    assert settings["cert"] == "/install.pem"
    assert settings["constraint"] == "/global/constraints.txt"


def test_pip_settings_become_variables_and_arguments_of_uv(installer: ModuleType) -> None:
    settings = {
        "find-links": "/wheels /more",
        "extra-index-url": "file:///a\nfile:///b",
        "cert": "/pip.pem",
        "timeout": "180",
        "constraint": "/one.txt /two.txt",
        "no-index": "true",
    }
    environment = {"SSL_CERT_FILE": "/own.pem", "HOME": "/home"}
    assert installer.uv_environment(settings, environment) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INDEX": "file:///a file:///b",
        "UV_HTTP_TIMEOUT": "180",
        "SSL_CERT_FILE": "/own.pem",
        "HOME": "/home",
    }
    assert installer.uv_arguments(settings) == [
        "--constraint=/one.txt", "--constraint=/two.txt", "--no-index",
    ]  # fmt: skip
    assert installer.uv_arguments({}) == []


def test_bytecode_is_compiled_only_where_python_would_not_keep_it(installer: ModuleType) -> None:
    without = installer.uv_environment({}, {})
    kept_from_writing = installer.uv_environment({}, {"PYTHONDONTWRITEBYTECODE": "1"})
    assert "UV_COMPILE_BYTECODE" not in without
    assert kept_from_writing["UV_COMPILE_BYTECODE"] == "1"


@pytest.mark.parametrize(
    ("failing", "programs", "returncode"),
    [
        ("", ["pip", "pip", "uv"], 0),
        ("uv", ["pip", "pip", "uv", "pip"], 0),
        ("pip", ["pip"] * 3, 1),
    ],
)
def test_pip_installs_where_uv_fails_or_cannot_be_had(
    tmp_path: Path, failing: str, programs: list[str], returncode: int
) -> None:
    for name in ("pip", "uv"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()  # without it the real one is found first
        (tmp_path / name / "__main__.py").write_text(PROGRAM)
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "CALLS": str(tmp_path / "calls"),
        "FAILING": failing,
    }
    command = [sys.executable, str(SCRIPT), "dev"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert [program for program, *_ in calls] == programs
    assert answer.returncode == returncode
    assert all(arguments[-1].endswith("[dev]") for _, arguments, _ in calls[2:])
    assert ("installing with pip" in answer.stderr) == bool(failing)
