"""Tokenizers side by side."""

from collections.abc import Iterable, Mapping
from html import escape
from itertools import cycle
from typing import Any

from gpt_core.artifact import Artifact
from gpt_core.config import ComparisonConfig
from gpt_core.evaluation import REPORT, compare_reports
from gpt_core.evaluation import measure_tokenizer as measure
from gpt_core.files import read_json
from tasks.plots import figures_figure, zipf_figure
from tasks.reporting import report_table
from tasks.stage import running_stage, stage_task
from tasks.tracking import FlowRecord, run_link

_TITLES = {
    "tokens_per_word": "tokens a word",
    "bytes_per_token": "bytes a token",
    "whole_words": "share of words left whole",
    "vocabulary_used": "share of the vocabulary used",
    "megabytes_per_second": "encoding, MB a second",
    "train_seconds": "training, seconds",
}
_COLOURS = ("#cfe8ff", "#ffe3c2", "#d5f2d0", "#f3d6ee")


@stage_task
def measure_tokenizer(
    corpus: Artifact, tokenizer: Artifact, config: ComparisonConfig, flow: FlowRecord
) -> Artifact:
    """One tokenizer to a report, see ``gpt_core.evaluation.measure_tokenizer``.

    Args:
        corpus: The documents.
        tokenizer: The tokenizer.
        config: What is measured; it names this tokenizer only, so that others do not matter.
        flow: The flow's record.
    """
    inputs = (corpus, tokenizer, config)
    label = " ".join(config.tokenizers)
    with running_stage("measure_tokenizer", flow, *inputs, label=label) as stage:
        return stage.done(measure(*inputs, stage.out_dir, progress=stage.progress))


@stage_task
def compare_tokenizers(reports: list[Artifact], flow: FlowRecord) -> Artifact:
    """Reports to one comparison, with plots, see ``gpt_core.evaluation.compare_reports``."""
    with running_stage("compare_tokenizers", flow, *reports) as stage:
        made = compare_reports(reports, "tokenizers", stage.out_dir, column="tokenizer")
        content = read_json(made.directory / REPORT)
        bars = figures_figure(content["tokenizers"], "tokenizer", _TITLES)
        figures = [bars, zipf_figure(content["ranks"])]
        for figure, name in zip(figures, ("tokenizers", "zipf"), strict=True):
            stage.record.log_figure(figure, name)
        stage.record.log_table(content["tokenizers"], "tokenizers")
        stage.record.log_text(pieces_page(content["sentences"]), "pieces.html")
        report_table("tokenizers", content["tokenizers"], figures, run_link(stage.record.run_id))
        return stage.done(made)


def pieces_page(rows: Iterable[Mapping[str, Any]]) -> str:
    """A page of HTML with sentences whose pieces are coloured in turn.

    Args:
        rows: ``tokenizer``, ``sentence``, ``tokens`` and ``pieces`` of each.
    """
    by_sentence: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_sentence.setdefault(row["sentence"], []).append(row)
    lines = ['<!doctype html><meta charset="utf-8"><title>Pieces</title>', _STYLE]
    for sentence, cuts in by_sentence.items():
        lines.append(f'<h3 dir="auto">{escape(sentence)}</h3><table>')
        lines += [
            f"<tr><th>{escape(cut['tokenizer'])}</th><td>{cut['tokens']}</td>"
            f'<td dir="auto">{_coloured(cut["pieces"])}</td></tr>'
            for cut in cuts
        ]
        lines.append("</table>")
    return "\n".join(lines)


def _coloured(pieces: Iterable[str]) -> str:
    colours = cycle(_COLOURS)
    return "".join(
        f'<span style="background:{colour}">{escape(piece)}</span>'
        for piece, colour in zip(pieces, colours, strict=False)
    )


_STYLE = """<style>
body { font: 16px/1.9 sans-serif; margin: 2em; }
th, td { text-align: start; padding: 0 1em 0 0; vertical-align: top; font-weight: normal; }
td:nth-child(2) { text-align: end; color: #666; }
span { white-space: pre-wrap; border-radius: 3px; }
</style>"""
