"""A format whose package is missing says which to install."""

import sys
from pathlib import Path

import pytest

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import read_texts


@pytest.mark.parametrize(
    ("name", "content", "module"),
    [
        ("a.html", b"<p>text</p>", "resiliparse"),
        ("a.warc", b"WARC/1.0\r\n", "warcio"),
    ],
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, module: str
) -> None:
    for loaded in [each for each in sys.modules if each.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: .* needs the package {module}, .*gptflow\[corp"):
        list(read_texts(tmp_path / name, ReadingConfig()))
