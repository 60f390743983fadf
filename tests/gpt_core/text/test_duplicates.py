"""Duplicate texts are detected, by a temporary file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.errors import DataError
from gpt_core.text.duplicates import SeenTexts


@given(st.lists(st.sampled_from([b"", b"a", b"b", b"\xff\0", b"ab"])))
def test_membership_equals_that_of_a_set(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("seen")
    known: set[bytes] = set()
    with SeenTexts(folder / "seen.db") as seen:
        for text in texts:
            assert seen.add(text) == (text not in known)
            known.add(text)
    assert list(folder.iterdir()) == []


def test_an_unwritable_folder_raises_a_one_line_error(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="missing cannot be written: "),
        SeenTexts(tmp_path / "missing" / "seen.db"),
    ):
        pass
