"""HTML pages become the text that a reader sees, in the encoding that they declare."""

from pathlib import Path

import pytest

from gpt_core.config import LimitsConfig, ReadingConfig, use_limits
from gpt_core.errors import DataError
from gpt_core.text import read_texts
from gpt_core.text.web_pages import declared_encoding, is_too_deep

MAIN = "The weaver of the town laughed, and gave Grace a wooden chest that nobody could open."
PAGE = f"""<!DOCTYPE html><html><head><title>T</title><style>p {{}}</style>
<script>var hidden = "<p>";</script></head><body><nav><a href="/">Menu</a></nav>
<main><h1>Tale</h1><p>{MAIN}</p><ul><li>a &amp; b</li><li>قال نعم</li></ul></main>
<footer>Imprint</footer></body></html>"""


def texts_of(path: Path, **reading: object) -> list[str]:
    return [text for _, text in read_texts(path, ReadingConfig(**reading))]


def test_the_main_text_of_a_page_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE, encoding="utf-8")
    [text] = texts_of(tmp_path / "a.html")
    assert text.split("\n\n")[:2] == ["Tale", MAIN]
    assert "Menu" not in text
    assert "Imprint" not in text
    [everything] = texts_of(tmp_path / "a.html", html="all")
    lines = [line.strip(" \u2022") for line in everything.splitlines() if line]
    assert lines == ["Menu", "Tale", MAIN, "a & b", "قال نعم", "Imprint"]


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="windows-1256">', "cp1256"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-6">', "iso8859-6"),
        ('<?xml version="1.0" encoding="windows-1256"?>', "cp1256"),
        ("", "utf-16"),
        ("", "utf-8-sig"),
        ('<meta charset="no-such">', "utf-8"),
    ],
)
def test_a_page_is_decoded_as_it_says(tmp_path: Path, head: str, encoding: str) -> None:
    (tmp_path / "a.htm").write_text(f"{head}<p>قال سعيد</p>", encoding=encoding)
    assert texts_of(tmp_path / "a.htm", html="all") == ["قال سعيد"]


def test_the_setting_comes_before_what_a_page_says(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<meta charset=utf-8><p>قال", encoding="cp1256")
    with pytest.raises(DataError, match=r"a.html is not utf-8: .*set reading.encoding"):
        texts_of(tmp_path / "a.html")
    assert texts_of(tmp_path / "a.html", encoding="cp1256", html="all") == ["قال"]
    assert declared_encoding(b"<meta name=charset content=x>") is None


def test_a_page_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE * 10)
    refusal = pytest.raises(
        DataError, match=r"a.html is longer than 99 bytes, the most that a page"
    )
    with use_limits(LimitsConfig(line_characters=99)), refusal:
        texts_of(tmp_path / "a.html")


def test_a_page_that_is_nested_too_deep_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<div>" * 100_000)
    with pytest.raises(DataError, match=r"a.html has more than 1,000 elements in each other"):
        texts_of(tmp_path / "a.html")
    assert not is_too_deep("<div><p>one<br><li>two</div>" * 10_000)
