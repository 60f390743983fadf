"""The project is installed with uv under pip's settings, and with pip where uv is not to be had."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
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
for argument in sys.argv:
    if argument.startswith("--report="):
        with open(argument.partition("=")[2], "w") as file:
            file.write('{"install": []}')
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
        ("uv", ["pip", "pip", "uv", "pip", "pip", "pip"], 0),
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
    assert calls[-1][1][-1].endswith("[dev]") == (returncode == 0)
    assert ("installing with pip" in answer.stderr) == bool(failing)


PROJECT = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "gptflow"
version = "1.0"
dependencies = ["demo"]
[tool.setuptools]
packages = []
"""
HAS_INSTALLERS = all(
    (Path(sysconfig.get_path("purelib")) / name).is_dir() for name in ("pip", "uv", "setuptools")
)


def write_wheel(folder: Path, code: str) -> str:
    """Write a wheel of the package ``demo``; its hash."""
    folder.mkdir(exist_ok=True)
    file = folder / "demo-1.0+cpu-py3-none-any.whl"
    info = "demo-1.0+cpu.dist-info"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr("demo.py", code)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0+cpu\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one dependency, the installer, and an environment without packages."""
    project = tmp_path / "project"
    (project / ".ci").mkdir(parents=True)
    (project / ".ci" / "install.py").write_bytes(SCRIPT.read_bytes())
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "constraints.txt").write_text("demo==1.0\n")
    sha256 = write_wheel(tmp_path / "wheels", "value = 1")
    other = "0" * 64
    (project / ".ci" / "hashes.txt").write_text(
        f"demo==1.0 \\\n    --hash=sha256:{other} \\\n    --hash=sha256:{sha256}\n"
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project / "venv"], check=True)
    return project


def run_installer(project: Path, *, uv: bool) -> "subprocess.CompletedProcess[str]":
    """Run the installer in the project's environment, with the programs of this one."""
    search = [sysconfig.get_path("purelib")]
    if not uv:
        (project / "failing" / "uv").mkdir(parents=True)
        (project / "failing" / "uv" / "__init__.py").touch()
        (project / "failing" / "uv" / "__main__.py").write_text("raise SystemExit(1)")
        search.insert(0, str(project / "failing"))
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    environment = {
        **own,
        "PYTHONPATH": os.pathsep.join(search),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(project.parent / "wheels"),
        "PIP_NO_CACHE_DIR": "1",
        "UV_NO_CACHE": "1",
    }
    command = [project / "venv" / "bin" / "python", project / ".ci" / "install.py"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not HAS_INSTALLERS, reason="the environment has no pip, uv or setuptools")
@pytest.mark.parametrize("uv", [True, False], ids=["uv", "pip"])
def test_a_changed_wheel_is_refused(project: Path, uv: bool) -> None:
    (installed,) = project.glob("venv/lib/python*/site-packages")
    write_wheel(project.parent / "wheels", "value = 2")
    answer = run_installer(project, uv=uv)
    assert answer.returncode == 1, answer.stderr
    assert "the hash is not in hashes.txt: demo 1.0+cpu" in answer.stderr
    assert not (installed / "demo.py").exists()


@pytest.mark.skipif(not HAS_INSTALLERS, reason="the environment has no pip, uv or setuptools")
@pytest.mark.parametrize("uv", [True, False], ids=["uv", "pip"])
def test_a_wheel_with_a_known_hash_is_installed(project: Path, uv: bool) -> None:
    answer = run_installer(project, uv=uv)
    assert answer.returncode == 0, answer.stderr
    assert list(project.glob("venv/lib/python*/site-packages/demo.py"))
    assert ("installing with pip" in answer.stderr) != uv


def test_every_pinned_package_has_hashes_and_torch_has_those_of_several_builds(
    installer: ModuleType,
) -> None:
    root = SCRIPT.parents[1]
    known = installer.read_hashes((root / ".ci" / "hashes.txt").read_text())
    pinned = (root / "constraints.txt").read_text().splitlines()
    names = {installer.normalized(line.partition("==")[0]) for line in pinned}
    assert not names - known.keys()
    assert all(known.values())
    assert len(known["torch"]) > 20
    assert {"uv", "setuptools"} <= known.keys()
