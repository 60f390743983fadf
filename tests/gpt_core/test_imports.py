"""The core imports with its own few dependencies alone, and without modules of POSIX."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPENDENCIES = (
    "torch", "numpy", "pyarrow", "tiktoken", "regex", "sentencepiece", "safetensors", "filelock",
    "typing_extensions",
)  # fmt: skip
IMPORT_ALL = """
import importlib, json, pkgutil, sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

allowed = set(json.loads(sys.argv[1])) | sys.stdlib_module_names | {"gpt_core"}

class Only(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return PathFinder.find_spec(name, path) if name.partition(".")[0] in allowed else None

sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Only]
sys.modules["fcntl"] = None
import gpt_core

found = [each.name for each in pkgutil.walk_packages(gpt_core.__path__, "gpt_core.")]
needs_more = [name for name in found if name.startswith("gpt_core.serving.")]
names = [name for name in found if name not in needs_more or name == "gpt_core.serving.settings"]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def required_by(distributions: tuple[str, ...]) -> set[str]:
    """The distributions and, recursively, what they require outside extras."""
    found: set[str] = set()
    waiting = list(distributions)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found.add(name)
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        for requirement in requirements:
            if "extra ==" not in requirement:
                waiting.append(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])
    return found


def test_every_module_imports_with_its_declared_dependencies_alone() -> None:
    needed = required_by(DEPENDENCIES)
    assert not needed & {"prefect", "mlflow", "pandas", "scikit-learn", "pydantic"}
    packages = importlib.metadata.packages_distributions()
    normalized = {
        module: {re.sub(r"[-_.]+", "-", name).lower() for name in names}
        for module, names in packages.items()
    }
    allowed = sorted(module for module, names in normalized.items() if names & needed)
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, json.dumps(allowed)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    folders = ("gpt_core", "serving")  # the server has dependencies of its own
    modules = [f for f in (ROOT / "gpt_core").rglob("*.py") if f.parent.name not in folders]
    assert int(answer.stdout) >= len(modules)
