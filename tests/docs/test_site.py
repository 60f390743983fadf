"""The site builds without a warning, leads nowhere that is not there, and asks nobody else."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import griffe
import pytest


def build(
    source: Path, site: Path, root: Path, builder: str = "html"
) -> "subprocess.CompletedProcess[str]":
    """Build pages strictly with the project's configuration, files of the code in plain text."""
    options = ("-b", builder, "-W", "--keep-going", "-q", "-E", "-D", "highlight_files=0")
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "-c", root / "docs", source, site],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = build(project_root / "docs", folder, project_root)
    assert built.returncode == 0, built.stderr
    return folder


def pages(site: Path) -> dict[Path, str]:
    return {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}


def test_every_link_of_the_site_leads_to_a_file_and_a_place_in_it(site: Path) -> None:
    texts = pages(site)
    ids = {page: set(re.findall(r'\b(?:id|name)="([^"]+)"', text)) for page, text in texts.items()}
    assert len(texts) > 100
    dead = set()
    for page, text in texts.items():
        for link in re.findall(r'<a [^>]*?href="([^"]+)"', text):
            address, _, place = link.partition("#")
            if re.match(r"[a-z]+:", address):
                continue
            target = (page.parent / unquote(address)).resolve() if address else page
            found = target in texts or (target.is_file() and not place)
            if not found or (place and unquote(place) not in ids[target]):
                dead.add((page.relative_to(site).as_posix(), link))
    assert not dead


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    fetched = [
        address
        for text in pages(site).values()
        for tag in re.findall(r"<(?:link|script|img|iframe|source|object)\b[^>]*>", text)
        for address in re.findall(r'(?:href|src|srcset|data)="([^"]+)"', tag)
    ]
    styles = "".join(file.read_text("utf-8") for file in site.rglob("*.css"))
    fetched += re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", styles)
    assert len(fetched) > 100
    assert not [address for address in fetched if re.match(r"(?:https?:)?//", address)]


def test_a_name_of_the_core_has_its_docstring_signature_and_source(site: Path) -> None:
    text = (site / "reference" / "generation.html").read_text(encoding="utf-8")
    section = text.split('id="keep-top-p"')[1].split("<section")[0]
    plain = re.sub(r"<[^>]+>", "", section)
    assert "keep_top_p(logits: Tensor, p: float | Tensor)" in plain
    assert "nucleus sampling" in plain
    assert "source/gpt_core/generation/logits.py.html#line-" in section


def test_diagrams_are_pictures_inside_the_page(site: Path) -> None:
    text = (site / "architecture.html").read_text(encoding="utf-8")
    assert text.count('<div class="diagram"') >= 3
    assert "clean_corpus" in text.split('<div class="diagram"')[1]
    assert "flowchart LR" not in text


def test_a_dead_link_and_a_changed_diagram_end_a_build(tmp_path: Path, project_root: Path) -> None:
    page = "# Page\n\n[there](nowhere.md), [file](../gpt_core/nothing.py)\n\n"
    page += "```mermaid\nflowchart LR\n    never --> drawn\n```\n\n```{toctree}\nmissing\n```\n"
    (tmp_path / "index.md").write_text(page, encoding="utf-8")
    built = build(tmp_path, tmp_path / "site", project_root, "dummy")
    assert built.returncode != 0
    for problem in ("nowhere.md", "gpt_core/nothing.py", "not drawn", "nonexisting document"):
        assert problem in built.stderr


def test_a_public_name_without_a_docstring_ends_a_build(
    project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(project_root / "docs"))
    make_reference = load(project_root / "docs" / "make_reference.py")
    warned: list[str] = []
    logger = type("Logger", (), {"warning": lambda _, text, name: warned.append(text % name)})()
    monkeypatch.setattr(make_reference.logging, "getLogger", lambda name: logger)
    code = 'class A:\n    """A."""\n    def b(self) -> int: ...\nC = 1\ndef d():\n    """D."""\n'
    file = project_root / "gpt_core" / "made_up.py"
    module = griffe.visit("m", code=code, filepath=file)
    for name in ("A", "C", "d"):
        list(make_reference._section(name, module[name]))
    assert warned == ["m.A.b has no docstring", "m.C has no docstring"]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
