"""The pages of documentation agree with the code, and what they show works."""

import dataclasses
import doctest
import importlib.util
import re
import shlex
import typing
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from flows.__main__ import FLOWS, app
from gpt_core.config import RunConfig, load_config

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/index.md",
    "docs/first_model.md",
    "docs/tour.md",
    "docs/glossary.md",
    "docs/how_to/your_text.md",
    "docs/how_to/arabic.md",
    "docs/how_to/bigger_model.md",
    "docs/how_to/several_gpus.md",
    "docs/how_to/import_gpt2.md",
    "docs/how_to/compare.md",
    "docs/operations.md",
    "docs/anatomy.md",
    "docs/finetuning.md",
    "docs/serving.md",
    "data/README.md",
)


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["settings", "modules"])
def test_generated_page_is_what_the_code_says(name: str) -> None:
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    generated = load(ROOT / "docs" / f"make_{name}.py").render()
    assert page == generated, f"docs/{name}.md is out of date: run make docs"


def test_every_setting_is_described() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert not re.findall(r"^\| `(.*?)` .*\|  \|$", page.split("## presets")[0], re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/anatomy.md", "docs/how_to/python.md"])
def test_python_session_prints_what_it_shows(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / page).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    session = doctest.DocTestParser().get_doctest(code, {}, page, page, 0)
    assert session.examples
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    printed: list[str] = []
    runner.run(session, out=printed.append)
    assert runner.failures == 0, "".join(printed)


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_links_lead_to_something(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    folder = (ROOT / page).parent
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    # Pages of the reference are made by the site's build, which checks links to them.
    links = [link for link in links if not link.startswith("reference/")]
    missing = [link for link in links if "//" not in link and link and not (folder / link).exists()]
    paths = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|md|toml|tsv|txt|env))`", text)
    paths += re.findall(r"`((?:gpt_core|tasks|flows|tests|docs|benchmarks)/[\w./]*)`", text)
    missing += [path for path in paths if not ((ROOT / path).exists() or (folder / path).exists())]
    assert not missing


def test_commands_that_are_shown_exist_and_their_settings_load() -> None:
    shown = [
        match[0].split("   (")[0]
        for page in PAGES
        for code in commands(page)
        if (match := re.search(r"\bgptflow [a-z-]+( .*)?$", code))
    ]
    assert len(shown) >= 10
    known = {*FLOWS, *get_command(app).commands}  # type: ignore[attr-defined]
    for command in shown:
        _, name, *words = shlex.split(command, comments=True)
        assert name in known or name.startswith("--"), command
        if name in FLOWS and not any(word.isupper() for word in words):
            preset = words[words.index("--preset") + 1] if "--preset" in words else "tiny"
            load_config(preset, settings=[word for word in words if "=" in word])


def commands(page: str) -> list[str]:
    """Lines of code blocks, joined where they are continued, and code between backticks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return lines + re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def test_settings_that_are_named_exist() -> None:
    sections = {field.name for field in dataclasses.fields(RunConfig)}
    hints = typing.get_type_hints(RunConfig)
    named = {
        match
        for page in (*PAGES, "mlflow/README.md")
        for code in commands(page)
        if not re.search(r"python -m|>>>|^\.\.\. ", code)
        for match in re.findall(r"\b([a-z0-9]+)\.([a-z_0-9]+)\b(?![./(])", code)
        if match[0] in sections and match[1] not in ("py", "md", "safetensors")
    }
    assert ("compute", "recompute") in named
    assert not [pair for pair in named if not hasattr(hints[pair[0]], pair[1])]


def test_picture_of_the_pipeline_names_stages() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"-->\|(\w+)\|", text.split("```mermaid", 2)[1])
    files = [ROOT / "tasks" / name for name in ("stages.py", "predictions.py", "corpora.py")]
    stages = "".join(file.read_text(encoding="utf-8") for file in files)
    assert named
    assert all(f"def {name}(" in stages for name in named)


def test_tests_that_are_named_exist() -> None:
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    named = re.findall(r"(tests/[\w/]+\.py)::(\w+)", text)
    assert named
    assert all(f"def {test}(" in (ROOT / file).read_text("utf-8") for file, test in named)


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets
