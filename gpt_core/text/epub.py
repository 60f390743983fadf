"""Stream the chapters of EPUB books in the order in which a reader turns the pages."""

import posixpath
import zipfile
from collections.abc import Iterator
from typing import IO, Protocol, cast
from urllib.parse import unquote

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text.extras import require_extra
from gpt_core.text.unpacking import UnpackedStream
from gpt_core.text.web_pages import read_bounded, read_page

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html")


class _Element(Protocol):
    """The part of an XML element that is read."""

    def find(self, path: str) -> "_Element | None": ...
    def iterfind(self, path: str) -> "Iterator[_Element]": ...
    def get(self, name: str, default: str = "") -> str: ...


class _Book:
    """An EPUB's files, whose unpacked bytes are counted together.

    Args:
        stream: The file, which can be searched.
        where: Its name in error messages.
    """

    def __init__(self, stream: IO[bytes], where: str) -> None:
        self._archive = zipfile.ZipFile(stream)
        self._size, self._unpacked = stream.seek(0, 2), 0
        self.where = where

    def open(self, name: str, needed_by: str) -> UnpackedStream:
        try:
            member = self._archive.getinfo(name)
        except KeyError as error:
            raise DataError(
                f"{self.where} is not a complete EPUB: {needed_by} names {name!r:.200}, which is "
                "not in it"
            ) from error
        if member.flag_bits & 1:
            raise DataError(f"{self.where}: {name} is encrypted: give the book without protection")
        opened = self._archive.open(member)
        return UnpackedStream(opened, self._size, f"{self.where}:{name}", self._unpacked)

    def read(self, name: str, needed_by: str) -> bytes:
        stream = self.open(name, needed_by)
        content = read_bounded(cast(IO[bytes], stream), f"{self.where}:{name}")
        self.count(stream)
        return content

    def count(self, stream: UnpackedStream) -> None:
        """Add the bytes of a stream that was read to those of the others."""
        self._unpacked = stream.unpacked

    def has(self, name: str) -> bool:
        return name in self._archive.NameToInfo


def read_epub(stream: IO[bytes], where: str, reading: ReadingConfig) -> Iterator[str]:
    """Stream the texts of a book's chapters, in the order of its spine; no table of contents.

    Args:
        stream: The file, which can be searched.
        where: Its name in error messages.
        reading: The encoding of pages that declare none.

    Raises:
        DataError: If the book is incomplete, damaged or protected, or a package that reads it is
            missing.
    """
    book = _Book(stream, where)
    protected = _protected_files(book)
    for name in _spine(book):
        if name in protected:
            raise DataError(f"{where}: {name} is encrypted: give the book without protection")
        page = book.open(name, "its spine")
        place = f"{where}:{name}"
        yield read_page(cast(IO[bytes], page), place, reading, main=False)
        book.count(page)


def _spine(book: _Book) -> list[str]:
    """The names of the pages in reading order."""
    container = _parse(book, _CONTAINER, "the format")
    root = container.find(".//{*}rootfile")
    package_name = root.get("full-path", "") if root is not None else ""
    package = _parse(book, package_name, _CONTAINER)
    items = {item.get("id"): item for item in package.iterfind("{*}manifest/{*}item")}
    names = list[str]()
    for reference in package.iterfind("{*}spine/{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None:
            raise DataError(
                f"{book.where} is not a complete EPUB: its spine names {reference.get('idref')!r}, "
                "which is not in its manifest"
            )
        is_page = item.get("media-type") in _PAGES
        if is_page and "nav" not in item.get("properties", "").split():
            names.append(_resolve(package_name, item.get("href", "")))
    if not names:
        raise DataError(f"{book.where} is not a complete EPUB: its spine has no page")
    return names


def _resolve(base: str, link: str) -> str:
    """The name in the archive of a link from one of its files."""
    path = unquote(link.partition("#")[0])
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), path))


def _protected_files(book: _Book) -> set[str]:
    """The files that only a licensed reader can open; fonts may be among them."""
    if not book.has(_ENCRYPTION):
        return set()
    references = _parse(book, _ENCRYPTION, "the format").iterfind(".//{*}CipherReference")
    return {unquote(each.get("URI", "")) for each in references}


def _parse(book: _Book, name: str, needed_by: str) -> _Element:
    """The root element of an XML file without entities, which could grow without limit."""
    xml = require_extra("defusedxml.ElementTree", f"{book.where}: EPUB")
    content = book.read(name, needed_by)
    try:
        root: _Element = xml.fromstring(content)
    except (xml.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{book.where}:{name} is not well-formed XML: {error}") from error
    return root
