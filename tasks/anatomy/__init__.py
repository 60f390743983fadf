"""The anatomy as a page, as pictures and as notebooks: drawing, which the core does without."""

from tasks.anatomy.chapters import CHAPTERS, Chapter
from tasks.anatomy.notebooks import write_notebooks
from tasks.anatomy.page import page_version, render_page
from tasks.anatomy.stage import dissect

__all__ = [
    "CHAPTERS",
    "Chapter",
    "dissect",
    "page_version",
    "render_page",
    "write_notebooks",
]
