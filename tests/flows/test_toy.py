"""A new stage and flow take four files; a part that is left out is an error before any run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = '''
"""A toy."""
from pathlib import Path
from gpt_core.artifact import Artifact, new_artifact

__all__ = ["count_lines"]


def count_lines(raw: Artifact, out_dir: Path) -> Artifact:
    """Count the files of a source."""
    with new_artifact(out_dir, kind="report", parents=[raw]) as draft:
        draft.metrics["files"] = 1.0
    return draft.artifact
'''
STAGE = '''

@stage(package="toy", kind="report")
def count_lines(run: StageRun, raw: Artifact) -> Artifact:
    """Count, see ``gpt_core.toy.count_lines``."""
    return toy.count_lines(raw, run.out_dir)
'''
FLOW = '''
"""A toy flow."""
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


def toy(config: RunConfig) -> Artifact:
    """Count the lines of the source."""
    return stages.count_lines(stages.fetch_corpus(config.source))
'''
DECLARATION = """    Flow(
        name="toy",
        help="Count lines.",
        load=partial(_load, "toy"),
        reads=_text,
        sections=("source",),
    ),
"""
END = ')  # fmt: skip\n"""Every flow'
IMPORT = {
    "gpt_core/toy.py": "import tasks.stages",
    "tasks/stages.py": "import tasks.stages",
    "flows/commands/toy.py": "from flows.declarations import FLOWS; FLOWS['toy'].function()",
    "flows/declarations.py": "from flows.declarations import FLOWS",
}
"""A statement that imports each of the four files."""


class Copy:
    """A copy of the project's packages with the toy in it."""

    def __init__(self, root: Path, checkout: Path) -> None:
        self.root, self.home = root, root / "home"
        ignored = shutil.ignore_patterns("__pycache__", "mlflow.db", "artifacts", "artifacts.lock")
        for name in ("gpt_core", "tasks", "flows", "mlflow"):
            shutil.copytree(checkout / name, root / name, ignore=ignored)
        for name in ("samples", "sources.toml"):
            (root / "data").mkdir(exist_ok=True)
            (root / "data" / name).symlink_to(checkout / "data" / name)
        shutil.copy(checkout / "pyproject.toml", root)
        self.write("gpt_core/toy.py", CORE)
        self.write("flows/commands/toy.py", FLOW)
        stages = self.read("tasks/stages.py")
        imported = "from gpt_core.artifact import Artifact"
        assert imported in stages
        added = stages.replace(imported, f"from gpt_core import toy\n{imported}")
        self.write("tasks/stages.py", added + STAGE)
        flows = self.read("flows/declarations.py")
        self.write("flows/declarations.py", flows.replace(END, f"{DECLARATION}{END}"))

    def read(self, file: str) -> str:
        return (self.root / file).read_text(encoding="utf-8")

    def write(self, file: str, text: str) -> None:
        (self.root / file).write_text(text, encoding="utf-8")

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
        environment = {
            **own, "GPTFLOW_HOME": str(self.home), "COLUMNS": "200", "PYTHONPATH": str(self.root)
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def error(self, file: str, old: str, new: str, *command: str) -> str:
        """The output of a command that fails while a part of a file is replaced."""
        before = self.read(file)
        assert old in before
        self.write(file, before.replace(old, new))
        answer = self.python(*command)
        self.write(file, before)
        assert answer.returncode != 0, answer.stdout
        return answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[Copy]:
    made = Copy(tmp_path_factory.mktemp("toy"), project_root)
    yield made
    made.python("-m", "flows", "down")


def test_the_toy_is_planned_run_and_cached(copy: Copy) -> None:
    plan = copy.python("-m", "flows", "toy", "--dry-run")
    assert "count_lines" in plan.stdout, plan.stderr
    assert "to do" in plan.stdout
    first, second = (copy.python("-m", "flows", "toy", "name=mine") for _ in range(2))
    assert "✓ count_lines (" in first.stdout, first.stdout + first.stderr
    assert "✓ count_lines (there already)" in second.stdout
    assert [path.name[:5] for path in (copy.home / "data" / "reports").iterdir()] == ["mine-"]
    again = copy.python("-m", "flows", "toy", "--dry-run", "name=other")
    assert " done " in again.stdout
    assert "toy " in copy.python("-m", "flows", "--help").stdout


@pytest.mark.parametrize(
    ("file", "part", "rest", "error"),
    [
        ("gpt_core/toy.py", "def count_lines", "def count", "gpt_core.toy does not export it"),
        ("tasks/stages.py", 'package="toy", ', "", "missing 1 required keyword-only argument"),
        ("flows/commands/toy.py", "def toy", "def toys", "has no attribute 'toy'"),
        ("flows/declarations.py", DECLARATION, "", "flows.declarations differ in toy"),
    ],
)
def test_a_part_that_is_left_out_is_an_error_at_import(
    copy: Copy, file: str, part: str, rest: str, error: str
) -> None:
    assert error in copy.error(file, part, rest, "-c", IMPORT[file])


@pytest.mark.long
@pytest.mark.soak
@pytest.mark.parametrize(
    ("file", "part", "rest", "error"),
    [
        ("gpt_core/toy.py", '"count_lines"', "", "gpt_core.toy does not export it"),
        ("tasks/stages.py", 'package="toy"', 'package="toys"', "no package gpt_core.toys"),
        ("tasks/stages.py", 'package="toy", kind="report"', 'package="toy", kind="count"',
         "kind must be one of"),
        ("flows/declarations.py", 'help="Count lines.",', "", "argument: 'help'"),
        ("flows/declarations.py", 'load=partial(_load, "toy"),', "", "argument: 'load'"),
        ("flows/declarations.py", 'reads=_text,\n        sections=("source",)',
         'sections=("source",)', "argument: 'reads'"),
        ("flows/declarations.py", 'sections=("source",),\n    )', ")", "argument: 'sections'"),
        ("flows/commands/toy.py", "config.source)",
         "config.source, companion=config.reading.boundaries)",
         "flow toy reads or declares reading, but not both"),
    ],
)  # fmt: skip
def test_any_other_part_that_is_left_out_is_an_error_at_import(
    copy: Copy, file: str, part: str, rest: str, error: str
) -> None:
    assert error in copy.error(file, part, rest, "-c", IMPORT[file])


@pytest.mark.long
@pytest.mark.soak  # tests/tasks/test_stage.py has the type check of calls
def test_a_stage_that_is_left_out_is_found_by_the_type_check(
    copy: Copy, project_root: Path
) -> None:
    if (project_root / ".mypy_cache").is_dir():
        shutil.copytree(project_root / ".mypy_cache", copy.root / ".mypy_cache")
    check = ("-m", "mypy", "flows/commands/toy.py", "flows/declarations.py")
    error = copy.error("tasks/stages.py", STAGE, "", *check)
    assert 'Module "tasks.stages" has no attribute "count_lines"' in error or (
        'Module has no attribute "count_lines"' in error
    )
