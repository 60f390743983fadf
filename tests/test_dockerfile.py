"""The Dockerfile copies files that exist and are not ignored, and installs as ``make`` does."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from flows.pools import read_template

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """The instructions with their arguments, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def given(steps: list[tuple[str, str]], name: str) -> list[str]:
    return [arguments for instruction, arguments in steps if instruction == name]


def test_all_that_is_copied_is_tracked_and_not_ignored(steps: list[tuple[str, str]]) -> None:
    known = {
        "ARG", "CMD", "COPY", "ENV", "FROM", "RUN", "USER", "VOLUME", "WORKDIR",
    }  # fmt: skip
    assert {instruction for instruction, _ in steps} <= known
    kept = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    copied = [source for each in given(steps, "COPY") for source in shlex.split(each)[:-1]]
    assert {"pyproject.toml", ".ci/hashes.txt", "flows"} <= set(copied)
    for source in copied:
        listed = subprocess.run(
            ["git", "ls-files", "--error-unmatch", source],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        assert listed.returncode == 0, f"{source} is not in git"
        assert f"!{source.split('/')[0]}" in kept, f"{source} is in .dockerignore"


def test_it_installs_as_the_makefile_does(steps: list[tuple[str, str]]) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    runs = " ".join(given(steps, "RUN"))
    for command, recipe in (
        ("python -m venv .venv", "$(PYTHON) -m venv $(VENV)"),
        (".venv/bin/python .ci/install.py", "$(BIN)/python .ci/install.py"),
    ):
        assert command in runs
        assert recipe in makefile
    extras = (ROOT / "pyproject.toml").read_text("utf-8")
    (chosen,) = re.findall(r"EXTRAS=(\S+)", " ".join(given(steps, "ARG")))
    assert all(f"\n{extra} = [" in extras for extra in chosen.split(","))


def test_it_runs_as_a_user_without_rights_with_its_home_on_a_volume(
    steps: list[tuple[str, str]],
) -> None:
    assert given(steps, "USER") == ["10001"]
    (volume,) = given(steps, "VOLUME")
    variables = " ".join(given(steps, "ENV"))
    assert f"GPTFLOW_HOME={volume} " in f"{variables} "
    assert not re.search(r"PASSWORD|SECRET|TOKEN|AUTH", variables)
    docker, kubernetes = str(read_template("docker")), str(read_template("kubernetes"))
    assert f"'gptflow-home:{volume}'" in docker
    assert f"'mountPath': '{volume}'" in kubernetes
    assert "'runAsUser': 10001" in kubernetes
