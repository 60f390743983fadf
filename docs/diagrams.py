"""Mermaid diagrams of the pages as pictures that are drawn beforehand, so that no page needs a CDN.

The pictures are ``diagrams/HASH.svg``, where the hash is that of the diagram's text. A diagram
without a picture ends a strict build; ``python docs/make_diagrams.py MERMAID.JS`` draws it.
"""

import hashlib
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.util import logging

PICTURES = Path(__file__).with_name("diagrams")
SMALLEST = 0.75
"""The smallest scale of a picture; on a narrower page it is scrolled, so that it can be read."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive ``mermaid``."""
    app.add_directive("mermaid", Mermaid)
    return {"parallel_read_safe": True}


def picture_of(text: str) -> Path:
    """The file of the picture of a diagram."""
    digest = hashlib.sha256(text.strip().encode("utf-8")).hexdigest()
    return PICTURES / f"{digest[:16]}.svg"


class Mermaid(Directive):
    """The picture of a diagram inside the page, so that it follows the page's colours."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The picture, or a warning if the diagram was changed and not drawn again."""
        file = picture_of("\n".join(self.content))
        if not file.exists():
            where = (self.state.document.current_source, self.lineno)
            message = "this diagram is not drawn, see docs/make_diagrams.py"
            logging.getLogger(__name__).warning(message, location=where)
            return []
        svg = file.read_text(encoding="utf-8")
        drawn = re.search(r"max-width: ([\d.]+)px", svg)
        least = f"min-width: {SMALLEST * float(drawn[1]):.0f}px" if drawn else ""
        svg = svg.replace("max-width:", f"{least}; max-width:", 1)
        picture = f'<div class="diagram" role="group" aria-label="Diagram" tabindex="0">{svg}</div>'
        return [nodes.raw("", picture, format="html")]
