"""Write ``reference/``: a page for each package of ``gpt_core`` with its public names.

Sphinx calls this before it reads the pages. The code is read, not imported. A public name or
method without a docstring is a warning, and therefore ends a strict build.
"""

from collections.abc import Iterator
from pathlib import Path

import griffe
from griffe import DocstringSectionKind as Kind
from make_modules import ROOT, packages
from sphinx.application import Sphinx
from sphinx.util import logging

FOLDER = Path(__file__).with_name("reference")
WIDTH = 88
INTRODUCTION = """# Reference

Every public name of `gpt_core`, a page for each package, from the docstrings. All of it works
without Prefect and MLflow; [In Python](../how_to/python.md) begins with it.

```{toctree}
:maxdepth: 1

"""


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages when a build begins."""
    app.connect("builder-inited", lambda app: write_reference(FOLDER))
    return {"parallel_read_safe": True}


def write_reference(folder: Path) -> None:
    """Write a page for each package, and ``index.md``, which lists them."""
    core = griffe.load("gpt_core", search_paths=[ROOT], resolve_aliases=True)
    assert isinstance(core, griffe.Module)
    names = [path.name for path in packages() if path.parent.name == "gpt_core"]
    folder.mkdir(exist_ok=True)
    for gone in {*folder.glob("*.md")} - {folder / f"{name}.md" for name in (*names, "index")}:
        gone.unlink()
    for name in names:
        _write(folder / f"{name}.md", _page(core[name]))
    _write(folder / "index.md", INTRODUCTION + "\n".join(names) + "\n```\n")


def _write(file: Path, text: str) -> None:
    """Write a file if its text is another, so that Sphinx reads again only what has changed."""
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


def _page(package: griffe.Module) -> str:
    """The page of a package: its docstring, and a section for each name that it exports."""
    lines = [f"# {package.path}", "", *_docstring(package)]
    for name in package.exports or []:
        lines += _section(str(name), _defined(package, str(name)))
    return "\n".join([*lines, ""])


def _defined(package: griffe.Module, name: str) -> griffe.Object:
    """Find the definition of a name that a package exports."""
    exported = package[name]
    if exported.is_module:  # of the same name as what it defines
        exported = exported[name]
    return exported.final_target if exported.is_alias else exported


def _section(name: str, defined: griffe.Object) -> Iterator[str]:
    file = defined.filepath.relative_to(ROOT).as_posix()
    source = f'<a class="source" href="../source/{file}.html#line-{defined.lineno}">source</a>'
    yield from (f"## {name}", "", *_signature(name, defined), "", source, "")
    yield from _docstring(defined)
    if defined.is_class:
        members = [m for m in defined.members.values() if not m.name.startswith("_")]
        for member in members:
            if member.is_attribute and member.docstring:
                yield f"- `{member.name}`: {_one_line(member.docstring.value)}"
        yield ""
        for method in members:
            if method.is_function and not _overrides(method):
                yield from (f"### {name}.{method.name}", "", *_signature(method.name, method), "")
                yield from _docstring(method)


def _overrides(method: griffe.Object) -> bool:
    return any("override" in str(decorator.value) for decorator in method.decorators)


def _signature(name: str, defined: griffe.Object) -> list[str]:
    """A code block that shows how the object is called, or what a constant is."""
    if defined.is_attribute:
        value = str(defined.value)
        text = f"{name} = {value if len(value) <= WIDTH else '...'}"
    else:
        text = _call(name, defined)
    return ["```python", text, "```"]


def _call(name: str, defined: griffe.Class | griffe.Function) -> str:
    """A call with its parameters, one a line if they do not fit into one."""
    made = griffe.Function(name, parameters=griffe.Parameters(*defined.parameters))
    made.parameters = griffe.Parameters(*(p for p in defined.parameters if p.name != "self"))
    if defined.is_function:
        made.returns = defined.returns
    text = str(made.signature(name=name))
    if len(text) <= WIDTH:
        return text
    head, end = text.split("(", 1)[0], f" -> {made.returns}" if made.returns else ""
    inner = text[len(head) + 1 : len(text) - len(end) - 1]
    return f"{head}(\n    {_split(inner)},\n){end}"


def _split(parameters: str) -> str:
    """Parameters separated by line breaks instead of by the commas outside brackets."""
    depth, parts = 0, [""]
    for character in parameters:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return ",\n    ".join(part.strip() for part in parts)


def _docstring(defined: griffe.Object) -> Iterator[str]:
    """A docstring as Markdown; a warning if there is none."""
    if defined.docstring is None:
        logging.getLogger(__name__).warning("%s has no docstring", defined.path)
        return
    for section in defined.docstring.parse("google", warnings=False):
        yield from (*_part(section), "")


def _part(section: griffe.DocstringSection) -> Iterator[str]:
    match section.kind:
        case Kind.text:
            yield str(section.value)
        case Kind.examples:
            yield from ("**Example**", "")
            for kind, text in section.value:
                yield from ("```pycon", text, "```") if kind is Kind.examples else (text, "")
        case Kind.admonition:
            yield from (f"**{section.title}**", "", section.value.contents)
        case Kind.returns | Kind.yields:
            text = " ".join(_one_line(item.description) for item in section.value)
            yield f"**{section.kind.value.capitalize()}** {text}"
        case Kind.raises:
            yield from ("**Raises**", "")
            for item in section.value:
                yield f"- `{item.annotation}`: {_one_line(item.description)}"
        case _:
            yield from (f"**{section.kind.value.capitalize()}**", "")
            for item in section.value:
                yield f"- `{item.name}`: {_one_line(item.description)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
