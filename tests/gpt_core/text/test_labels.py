"""The positive label is the one asked for, or the rarer of two."""

import pytest

from gpt_core.errors import DataError
from gpt_core.text import positive_label


def test_the_rarer_of_two_labels_is_the_positive_one_unless_another_is_named() -> None:
    assert positive_label(None, {"spam": 13, "ham": 87}) == "spam"
    assert positive_label("ham", {"spam": 13, "ham": 87}) == "ham"
    assert positive_label(None, {"a": 1, "b": 2, "c": 3}) is None
    with pytest.raises(DataError, match="positive is 'x', which no example has; the labels are 'a"):
        positive_label("x", {"a": 1, "b": 2})
