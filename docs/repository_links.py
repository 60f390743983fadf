"""Links of the documentation to files of the repository lead to pages of the site that show them.

A page such as ``source/gpt_core/text/arabic.py.html`` has the file as it is, highlighted. A path
between backticks is a link too if the file exists, so that the text stays readable as Markdown.
"""

import html
import posixpath
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"CONTRIBUTING.md": "contributing", "README.md": "index"}
"""Files of the repository that the site has as ordinary pages."""
EXTENSIONS = {".py", ".md", ".toml", ".tsv", ".txt", ".json", ".yaml", ".example"}
BEFORE_DOWNLOADS = 400
"""A priority before Sphinx's own handler, which would copy the linked files as downloads."""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{file} - gptflow</title>
<link rel="stylesheet" href="{root}_static/pygments.css">
<link rel="stylesheet" href="{root}_static/site.css">
</head>
<body class="file" data-theme="auto">
<p><a href="{root}index.html">gptflow</a> / {file}</p>
{code}
</body>
</html>
"""


def setup(app: Sphinx) -> dict[str, bool]:
    """Replace the links when a page was read, and write the pages of the files at the end."""
    app.connect("doctree-read", _link_files, priority=BEFORE_DOWNLOADS)
    app.connect("build-finished", _write_files)
    app.add_config_value("highlight_files", default=True, rebuild="html", types=[bool])
    return {"parallel_read_safe": True}


def _link_files(app: Sphinx, doctree: nodes.document) -> None:
    """Turn links to files, and paths between backticks, into links to pages of the site."""
    for link in list(doctree.findall(addnodes.download_reference)):
        folder = posixpath.dirname(app.env.docname)
        file = posixpath.normpath(posixpath.join("docs", folder, link["reftarget"]))
        inner = link.children[0] if link.children else nodes.Text(file)
        link.replace_self(_reference(app, file, inner))
    for literal in list(doctree.findall(nodes.literal)):
        file = literal.astext()
        linked = isinstance(literal.parent, nodes.reference)
        if not linked and "/" in file and _is_shown(file):
            literal.replace_self(_reference(app, file, literal.deepcopy()))


def _is_shown(file: str) -> bool:
    path = ROOT / file
    return not file.startswith((".", "/")) and path.suffix in EXTENSIONS and path.is_file()


def _reference(app: Sphinx, file: str, inner: nodes.Node) -> nodes.reference:
    """A link to the page of a file."""
    page = PAGES.get(file, f"source/{file}")
    _linked(app).add(file)
    if file.startswith("docs/") and file.endswith(".md"):
        page = file.removeprefix("docs/").removesuffix(".md")
    uri = app.builder.get_relative_uri(app.env.docname, page)
    wrapped = nodes.inline("", "", inner) if isinstance(inner, nodes.Text) else inner
    return nodes.reference("", "", wrapped, internal=True, refuri=uri)


def _linked(app: Sphinx) -> set[str]:
    """The files that were linked to, which Sphinx keeps with what it has read."""
    if not hasattr(app.env, "linked_files"):
        app.env.linked_files = set()
    return app.env.linked_files


def _write_files(app: Sphinx, exception: Exception | None) -> None:
    """Write the pages of all files that pages of the site link to."""
    if exception is not None or app.builder.format != "html":
        return
    core = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("gpt_core/**/*.py")}
    for file in sorted(core | _linked(app)):
        page = app.outdir / "source" / f"{file}.html"
        if _is_shown(file) and not _is_newer(page, ROOT / file):
            _write_page(file, page, highlighted=app.config.highlight_files)


def _is_newer(page: Path, file: Path) -> bool:
    return page.exists() and page.stat().st_mtime >= file.stat().st_mtime


def _write_page(file: str, page: Path, *, highlighted: bool) -> None:
    """Write the page of a file."""
    try:
        lexer = get_lexer_for_filename(file) if highlighted else TextLexer()
    except ClassNotFound:
        lexer = TextLexer()
    text = (ROOT / file).read_text(encoding="utf-8")
    code = highlight(text, lexer, HtmlFormatter(lineanchors="line"))
    root = "../" * (file.count("/") + 1)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(PAGE.format(file=html.escape(file), root=root, code=code), encoding="utf-8")
