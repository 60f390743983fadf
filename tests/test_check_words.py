"""The word check finds the words of its list where they are written, and nothing else."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "check_words.py"

PYTHON = '''"""A result hangs on its inputs.

Training goes
on, and ``news`` in code are left alone.
"""

# A phrase may be broken: what the result hangs
# on is its key.
MOST_ROWS = 3


class NewsWriter:
    """Write events."""

    where = 1
    """Of the writer."""


def settled(share: float, decay_share: float) -> str:
    return f"{share} goes on"  # the loss figures
'''

MARKDOWN = """# Title

A checkpoint is whole. A whole number is fine, and `news` is code.

Matplotlib figures stay, but the
figures do not.
"""


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_words", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_words"] = module
    spec.loader.exec_module(module)
    return module


def found(checker: ModuleType, path: Path, content: str) -> list[tuple[int, str]]:
    path.write_text(content, encoding="utf-8")
    rules, _ = checker.read_list()
    return [(line, words) for line, words, _ in checker.findings(path, rules)]


def test_python_docstrings_comments_strings_and_names_are_read(
    checker: ModuleType, tmp_path: Path
) -> None:
    assert found(checker, tmp_path / "module.py", PYTHON) == [
        (1, "hangs on"),
        (3, "goes on"),
        (7, "hangs on"),
        (9, "MOST ROWS"),
        (12, "News"),
        (16, "Of"),
        (19, "settled"),
        (19, "share"),
        (20, "figures"),
        (20, "goes on"),
    ]


def test_markdown_is_read_without_its_code(checker: ModuleType, tmp_path: Path) -> None:
    assert found(checker, tmp_path / "page.md", MARKDOWN) == [(3, "is whole"), (6, "figures")]


def test_toml_comments_and_strings_are_read(checker: ModuleType, tmp_path: Path) -> None:
    content = 'name = "the floors"  # a figure\nshares = 1\n'
    assert found(checker, tmp_path / "file.toml", content) == [(1, "figure"), (1, "floors")]


def test_every_rule_says_what_to_write_and_matches_nothing_empty(checker: ModuleType) -> None:
    rules, skipped = checker.read_list()
    assert all(rule.write and rule.kinds for rule in rules)
    assert not [rule.pattern for rule in rules if rule.pattern.search("")]
    assert all((SCRIPT.parents[1] / path).exists() for path in skipped)


def test_the_command_names_file_line_and_suggestion(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("Nothing to find.\n\nThe loss hangs on it.\n")
    answer = run(tmp_path / "page.md", SCRIPT)
    assert answer.returncode == 1
    assert answer.stdout.endswith('page.md:3: "hangs on" -> depends on\n')
    assert "1 words to replace" in answer.stderr


def test_a_clean_file_is_silence_and_success() -> None:
    answer = run(SCRIPT)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def run(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
