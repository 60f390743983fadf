"""EPUB books are read chapter by chapter in the order of their spine."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import read_texts

CONTAINER = """<?xml version="1.0"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>"""
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><manifest>
<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="b" href="a%20chapter.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="../text/z.xhtml" media-type="application/xhtml+xml"/>
<item id="p" href="cover.png" media-type="image/png"/>
</manifest><spine><itemref idref="p"/><itemref idref="n"/><itemref idref="a"/>
<itemref idref="b" linear="no"/></spine></package>"""
ENCRYPTION = """<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>
<enc:CipherData><enc:CipherReference URI="text/z.xhtml"/></enc:CipherData></enc:EncryptedData>
</encryption>"""
BOOK = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": PACKAGE,
    "OEBPS/nav.xhtml": "<p>Contents</p>",
    "OEBPS/a chapter.xhtml": "<html><body><p>Notes &#1602;</p></body></html>",
    "text/z.xhtml": '<?xml version="1.0" encoding="utf-8"?><html><h1>باب</h1><p>one</p></html>',
    "OEBPS/cover.png": "no picture",
}  # fmt: skip


def write(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def texts_of(path: Path) -> list[str]:
    return [text for _, text in read_texts(path, ReadingConfig())]


def test_chapters_are_read_in_the_order_of_the_spine(tmp_path: Path) -> None:
    write(tmp_path / "a.epub", BOOK)
    assert list(read_texts(tmp_path / "a.epub", ReadingConfig())) == [
        ("a.epub#0", "باب\n\none"),
        ("a.epub#1", "Notes ق"),
    ]
    fonts = ENCRYPTION.replace("text/z.xhtml", "OEBPS/font.otf")
    write(tmp_path / "b.epub", {**BOOK, "META-INF/encryption.xml": fonts})
    with zipfile.ZipFile(tmp_path / "books.zip", "w") as archive:
        archive.write(tmp_path / "b.epub", "b.epub")
    assert texts_of(tmp_path / "books.zip") == texts_of(tmp_path / "a.epub")


@pytest.mark.long
def test_a_book_that_sphinx_made_is_read(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "conf.py").write_text("project = 'Tales'\nauthor = 'A'\nversion = release = '1'\n")
    (source / "index.rst").write_text("Tales\n=====\n\n.. toctree::\n\n   z\n   a\n")
    (source / "z.rst").write_text("First\n=====\n\nThe weaver & the king.\n")
    (source / "a.rst").write_text("Second\n======\n\nقال نعم\n")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-b",
        "epub",
        str(source),
        str(tmp_path / "out"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    texts = texts_of(tmp_path / "out" / "Tales.epub")
    chapters = [text for text in texts if text.startswith(("First", "Second"))]
    assert [text.split("\n\n") for text in chapters] == [
        ["First", "The weaver & the king."], ["Second", "قال نعم"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"META-INF/container.xml": None}, "complete EPUB: the format names 'META-INF/container"),
        ({"META-INF/container.xml": "<container/>"}, r"META-INF/container.xml names '', which is"),
        ({"META-INF/container.xml": "<container>"}, "container.xml is not well-formed XML"),
        ({"OEBPS/book.opf": None}, "names 'OEBPS/book.opf', which is not in it"),
        ({"OEBPS/book.opf": "<package><spine/></package>"}, "its spine has no page"),
        ({"OEBPS/book.opf": PACKAGE.replace('id="a"', 'id="x"')}, "spine names 'a', which is not"),
        ({"text/z.xhtml": None}, "its spine names 'text/z.xhtml', which is not in it"),
        ({"META-INF/encryption.xml": ENCRYPTION}, "text/z.xhtml is encrypted: give the book with"),
        (
            {"OEBPS/book.opf": '<!DOCTYPE p [<!ENTITY a "aaaa">]><package>&a;</package>'},
            "book.opf is not well-formed XML: EntitiesForbidden",
        ),
    ],
)
def test_an_incomplete_book_raises_a_one_line_error(
    tmp_path: Path, changed: dict[str, str | None], sentence: str
) -> None:
    files = {name: content for name, content in {**BOOK, **changed}.items() if content is not None}
    with pytest.raises(DataError, match=sentence) as caught:
        texts_of(write(tmp_path / "a.epub", files))
    assert str(caught.value).startswith(str(tmp_path / "a.epub"))


def test_what_is_no_archive_or_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.epub").write_bytes(b"no book")
    with pytest.raises(DataError, match=r"a.epub is not an intact .epub archive"):
        texts_of(tmp_path / "a.epub")
    monkeypatch.setattr("gpt_core.text.unpacking.SMALL", 1 << 16)
    write(tmp_path / "a.epub", {**BOOK, "text/z.xhtml": "a" * (1 << 20)})
    with pytest.raises(DataError, match=r"a.epub:text/z.xhtml unpacks from"):
        texts_of(tmp_path / "a.epub")
