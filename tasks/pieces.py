"""A page of HTML that shows how tokenizers cut sentences into pieces."""

from collections.abc import Iterable
from html import escape
from itertools import cycle

import pandas as pd

_COLORS = ("#cfe8ff", "#ffe3c2", "#d5f2d0", "#f3d6ee")
_STYLE = """<style>
body { font: 16px/1.9 sans-serif; margin: 2em; }
th, td { text-align: start; padding: 0 1em 0 0; vertical-align: top; font-weight: normal; }
td:nth-child(2) { text-align: end; color: #666; }
span { white-space: pre-wrap; border-radius: 3px; }
</style>"""


def pieces_page(cuts: pd.DataFrame) -> str:
    """Show sentences with their pieces in alternating colors.

    Args:
        cuts: ``tokenizer``, ``sentence``, ``tokens`` and ``pieces``, a row for each tokenizer and
            sentence.
    """
    lines = ['<!doctype html><meta charset="utf-8"><title>Pieces</title>', _STYLE]
    sentences = cuts.groupby("sentence", sort=False) if len(cuts) else ()
    for sentence, rows in sentences:
        lines.append(f'<h3 dir="auto">{escape(str(sentence))}</h3><table>')
        lines += [
            f"<tr><th>{escape(tokenizer)}</th><td>{n_tokens}</td>"
            f'<td dir="auto">{_colored(pieces)}</td></tr>'
            for tokenizer, n_tokens, pieces in zip(
                rows["tokenizer"], rows["tokens"], rows["pieces"], strict=True
            )
        ]
        lines.append("</table>")
    return "\n".join(lines)


def _colored(pieces: Iterable[str]) -> str:
    return "".join(
        f'<span style="background:{color}">{escape(piece)}</span>'
        for piece, color in zip(pieces, cycle(_COLORS), strict=False)
    )
