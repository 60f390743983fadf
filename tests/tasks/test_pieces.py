"""The page of pieces shows what each tokenizer made of a sentence."""

import pandas as pd

from tasks.pieces import pieces_page


def test_pieces_are_escaped_and_grouped_by_sentence() -> None:
    cuts = pd.DataFrame(
        [{"tokenizer": name, "sentence": "a<b", "tokens": 2, "pieces": ["a<", "b"]}
         for name in ("byte", "bpe")]
    )  # fmt: skip
    page = pieces_page(cuts)
    assert page.count("<h3") == 1
    assert page.count("a&lt;</span>") == 2
    assert "<th>byte</th><td>2</td>" in page
    assert "<h3" not in pieces_page(pd.DataFrame())
