"""Sphinx's configuration of the documentation, which ``make docs`` builds into ``build/site``.

The pages are Markdown (MyST) and also readable where the repository is shown. Nothing in a built
page is fetched from elsewhere.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside this file

from gpt_core import __version__

project = "gptflow"
author = "the gptflow contributors"
copyright = "the gptflow contributors, MIT licence"
version = release = __version__
language = "en"

extensions = [
    "myst_parser",
    "make_reference",
    "repository_links",
    "diagrams",
]
exclude_patterns = ["**/.*"]

myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]


html_theme = "furo"
html_title = "gptflow"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "default"
