"""The mutation run changes what it should, and only that."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = '''
def scaled(values: list[int] | None, rate: float = 0.5) -> list[float]:
    """A docstring."""
    if not values:
        raise ValueError(f"no {values[0]}")
    with guard(values):
        values.sort(key=len, reverse=True)
    return [rate * value for value, _ in zip(values, values, strict=True)
            if value > 1 and value < 9]
'''


@pytest.fixture(scope="module")
def mutants() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants", ROOT / ".ci" / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_one_statement_or_expression_changes_at_a_time(mutants: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "scaled.py"
    file.write_text(SOURCE, encoding="utf-8")
    found = mutants.Mutator(file).mutants()
    changes = {(mutant.line, mutant.new) for mutant in found}
    assert changes == {
        (2, "1.0"),
        (4, "((values))"),
        (5, "pass"),
        (6, '__import__("contextlib").nullcontext()'),
        (7, "pass"),
        (7, ""),
        (7, "False"),
        (8, "((rate) / (value))"),
        (9, "((value) >= (1))"),
        (9, "((value) <= (9))"),
        (9, "((value > 1) or (value < 9))"),
        (9, "((value > 1))"),
        (9, "((value < 9))"),
        (9, "2"),
        (9, "10"),
    }
    deleted = next(mutant for mutant in found if mutant.new == "")
    assert b"values.sort(reverse=True)" in deleted.source(file.read_bytes())


def test_every_module_of_the_core_has_tests_for_its_mutants(mutants: ModuleType) -> None:
    for file in mutants.modules([str(ROOT / "gpt_core")]):
        for tests in mutants.tests_of(file):
            assert all((ROOT / path).exists() for path in tests), file
