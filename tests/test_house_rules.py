"""House rules: module size, names, exports, packaging, and imports of the entry points."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gpt_core

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gpt_core", "tasks", "flows")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_ANY_LINES = 44
MIRRORED = (
    "anatomy",
    "data",
    "evaluation",
    "execution",
    "generation",
    "optim",
    "tokenizers",
    "training",
)
"""The packages of the core whose modules each have a test file; tasks and flows have them too."""
CATCH_ALL_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}


def modules() -> list[Path]:
    return sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


def packages() -> list[Path]:
    found = (file.parent for package in PACKAGES for file in (ROOT / package).rglob("__init__.py"))
    return sorted(found)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(ROOT)))
def test_module_and_its_functions_are_short_and_documented(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MAX_FILE_LINES
    tree = ast.parse(source)
    too_long = {f.name: size for f in functions(tree) if (size := lines_of(f)) > MAX_FUNCTION_LINES}
    assert not too_long
    assert ast.get_docstring(tree), "a module needs a docstring"


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(ROOT)))
def test_importing_a_module_only_defines_names(file: Path) -> None:
    allowed = (
        ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef,
        ast.Assign, ast.AnnAssign, ast.If,
    )  # fmt: skip
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        call = isinstance(node, ast.Expr) and file.name == "__main__.py"
        assert docstring or call or isinstance(node, allowed), f"line {node.lineno}"
        if isinstance(node, ast.If):
            assert "__name__" in ast.dump(node.test) or "TYPE_CHECKING" in ast.dump(node.test)


def test_no_module_has_a_catch_all_or_versioned_name() -> None:
    names = {part for file in modules() for part in file.relative_to(ROOT).with_suffix("").parts}
    assert not names & CATCH_ALL_NAMES
    assert not [name for name in names if re.search(r"(_v\d+|_old|_new|chapter\d+)$", name)]


@pytest.mark.parametrize("package", packages(), ids=lambda folder: str(folder.relative_to(ROOT)))
def test_package_exports_what_it_imports_in_order(package: Path) -> None:
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    exported = [
        name
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for name in ast.literal_eval(node.value)
    ]
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(exported) == imported
    assert exported == sorted(exported, key=isort_key)


def isort_key(name: str) -> tuple[int, list[tuple[int, str]]]:
    """Constants before classes before functions, numbers by value: the order of ruff's RUF022."""
    rank = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return rank, [
        (int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)
    ]


def test_no_folder_shadows_a_package() -> None:
    assert not list((ROOT / "mlflow").glob("*.py"))  # those deeper are code of recorded models
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_each_module_has_its_mirrored_test_file() -> None:
    mirrored = [ROOT / name for name in ("tasks", "tasks/tracking", "flows", "flows/commands")]
    mirrored += [ROOT / "gpt_core" / name for name in MIRRORED]
    missing = [
        str(file.relative_to(ROOT))
        for file in modules()
        if file.parent in mirrored
        and file.name not in ("__init__.py", "__main__.py")
        and not (ROOT / "tests" / file.relative_to(ROOT).parent / f"test_{file.name}").is_file()
    ]
    assert not missing


def test_any_is_rare() -> None:
    lines = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in modules()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(r"\bAny\b", line)
    ]
    assert len(lines) < MAX_ANY_LINES, lines


def test_every_test_asserts_something() -> None:
    checks = re.compile(r"Assert|raises|assert_|warns|check_")
    silent = [
        f"{file.relative_to(ROOT)}:{function.lineno}"
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
        for function in functions(ast.parse(file.read_text(encoding="utf-8")))
        if function.name.startswith("test_") and not checks.search(ast.dump(function))
    ]
    assert not silent


def test_setuptools_lists_every_package() -> None:
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    existing = {".".join(folder.relative_to(ROOT).parts) for folder in packages()}
    assert set(listed["tool"]["setuptools"]["packages"]) == existing


def test_version_is_the_newest_release_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", changelog, re.MULTILINE)
    assert releases[0] == gpt_core.__version__


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_marked_as_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_readme_lists_every_package() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("## The packages", 1)[1].split("\n## ", 1)[0]
    listed = set(re.findall(r"`((?:gpt_core|tasks|flows)[.\w]*)`", table))
    assert listed == {".".join(folder.relative_to(ROOT).parts) for folder in packages()}


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    pattern = "/(wor" + "k|roo" + "t|farm|home/[a-z]+)/"
    found = subprocess.run(
        ["git", "grep", "-nIE", pattern, "--", ":!*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("gpt_core.config", ("torch", "numpy", "pyarrow")),
        ("gpt_core.artifact", ("torch", "numpy", "pyarrow")),
        ("flows.__main__", ("torch", "numpy", "pyarrow", "prefect", "mlflow.entities")),
        ("flows.preflight", ("prefect", "mlflow.entities")),  # these read their addresses then
    ],
)
def test_entry_point_imports_nothing_heavy(module: str, heavy: tuple[str, ...]) -> None:
    script = f"import sys, {module}; print(*[name for name in {heavy!r} if name in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == []
