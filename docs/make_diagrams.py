"""Draw the Mermaid diagrams of the pages with Mermaid itself, in a headless Chromium.

Run it as ``python docs/make_diagrams.py MERMAID.JS`` after a diagram was changed; the file is
``dist/mermaid.min.js`` of the npm package ``mermaid`` (drawn with 11.17.2). What it writes, a
picture for each diagram in ``diagrams/``, is kept in git: a build needs no browser.
"""

import re
import sys
from pathlib import Path

from diagrams import PICTURES, picture_of
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
DRAW = """async ([name, text]) => {
    mermaid.initialize({startOnLoad: false, theme: "base", htmlLabels: false,
                        flowchart: {htmlLabels: false, useMaxWidth: true}});
    return (await mermaid.render(name, text)).svg;
}"""


def main(library: Path) -> None:
    """Draw what is not drawn yet, and remove pictures of diagrams that are gone."""
    texts = [text for page in DOCS.rglob("*.md") for text in diagrams_of(page)]
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=sys.argv[2] if sys.argv[2:] else None)
        page = browser.new_page()
        page.set_content("<body></body>")
        page.add_script_tag(path=library)
        for text in texts:
            draw(page, text)
        browser.close()
    wanted = {picture_of(text) for text in texts}
    for file in set(PICTURES.glob("*.svg")) - wanted:
        file.unlink()


def diagrams_of(page: Path) -> list[str]:
    """The texts of a page's diagrams."""
    return re.findall(r"^```mermaid\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def draw(page: Page, text: str) -> None:
    """Draw one diagram."""
    file = picture_of(text)
    if not file.exists():
        svg = page.evaluate(DRAW, [f"diagram-{file.stem}", text])
        file.write_text(svg + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
