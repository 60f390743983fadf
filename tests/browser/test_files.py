"""The page's files: small, complete, from nowhere else, and without a way for text to be markup."""

import re
from pathlib import Path

import pytest

from gpt_core import serving

FOLDER = Path(serving.__file__).parent / "page"
FILES = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.iterdir())}
SCRIPTS = [name for name in FILES if name.endswith(".js")]


def test_all_files_together_are_small_and_each_is_used() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 60_000
    assert max(len(FILES[name].splitlines()) for name in SCRIPTS) <= 400
    index = FILES["index.html"]
    imported = {
        name for script in SCRIPTS for name in re.findall(r'from "\./([\w.]+)"', FILES[script])
    }
    linked = {
        name.removeprefix("page/") for name in re.findall(r'(?:src|href)="(page/[^"]+)', index)
    }
    assert imported | linked | {"index.html"} == set(FILES)


def test_the_document_has_no_code_and_no_style_of_its_own() -> None:
    index = FILES["index.html"]
    assert not re.findall(r"<style|\sstyle=|\son\w+=|javascript:", index)
    assert re.findall(r"<script[^>]*>(.*?)</script>", index, re.DOTALL) == [""]


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_fetched_from_elsewhere_and_text_never_becomes_markup(name: str) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[\w-]+\.[\w.-]+", FILES[name]))
    assert addresses <= {"http://www.w3.org"}  # the name of SVG, which nobody fetches
    written_as_markup = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\("
    )
    assert not re.findall(written_as_markup, FILES[name])
