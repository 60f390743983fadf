"""Texts seen before are known, from a file that leaves no trace."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.errors import DataError
from gpt_core.text.duplicates import SeenTexts


@given(st.lists(st.sampled_from([b"", b"a", b"b", b"\xff\0", b"ab"])))
def test_it_says_of_each_text_what_a_set_says(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("seen")
    known: set[bytes] = set()
    with SeenTexts(folder / "seen.db") as seen:
        for text in texts:
            assert seen.add(text) == (text not in known)
            known.add(text)
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="missing cannot be written: "),
        SeenTexts(tmp_path / "missing" / "seen.db"),
    ):
        pass
