"""One HTML page of a dissected model, with everything that it needs inside."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt

from tasks.anatomy.chapters import CHAPTERS
from tasks.anatomy.sources import read_source, style_sheet

_FOLDER = Path(__file__).parent
_SCRIPTS = ("base.js", "text.js", "attention.js", "layers.js", "stream.js", "speaking.js",
            "tuning.js", "start.js")  # fmt: skip
_DIGITS = 16


def page_version() -> str:
    """A hash of everything here that the page is made of: a report is made again if it changes."""
    digest = hashlib.sha256()
    for file in sorted(file for file in _FOLDER.rglob("*") if file.is_file()):
        if file.suffix != ".pyc":
            name = file.relative_to(_FOLDER).as_posix()
            digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:_DIGITS]


def render_page(content: Mapping[str, object]) -> str:
    """Render a report of ``gpt_core.chapters.dissect`` as a page that needs no network.

    Args:
        content: ``about`` and ``chapters``.
    """
    about, chapters = content["about"], content["chapters"]
    assert isinstance(about, dict)
    assert isinstance(chapters, dict)
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "page"), autoescape=True, undefined=StrictUndefined
    )
    markdown = MarkdownIt("commonmark", {"html": False})
    shown = [
        {
            "name": chapter.name,
            "title": chapter.title,
            "prose": markdown.render(chapter.prose),
            "sources": [read_source(address) for address in chapter.sources],
        }
        for chapter in CHAPTERS
        if chapter.name in chapters
    ]
    return environment.get_template("page.html").render(
        about=about,
        chapters=shown,
        style=(_FOLDER / "page" / "page.css").read_text(encoding="utf-8"),
        light=style_sheet("default", ":root"),
        dark=style_sheet("github-dark", ":root"),
        scripts=[(_FOLDER / "page" / name).read_text(encoding="utf-8") for name in _SCRIPTS],
        data=_embedded({"about": about, "chapters": chapters}),
    )


def _embedded(values: object) -> str:
    """JSON that no HTML parser can leave: it has no ``<``."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
