"""Print a run's results: metrics, samples, the artifacts that it made and the next commands."""

from collections.abc import Mapping
from itertools import cycle
from shlex import quote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.classifier_summary import print_classifier, print_classifier_table
from flows.declarations import FlowResult
from flows.display import short
from flows.judgements import print_judgements
from flows.predictions import print_predictions
from gpt_core.artifact import REPORT, Artifact
from gpt_core.checkpoints import read_description
from gpt_core.config import RunConfig
from gpt_core.files import read_json
from tasks.credentials import password_file
from tasks.tables import answers

_ROWS = (
    ("pretrained", "report", "loss", "loss, nats per token", ".3f"),
    ("", "report", "bigram_loss", "  a bigram's", ".3f"),
    ("", "report", "untrained_loss", "  untrained", ".3f"),
    ("", "report", "perplexity", "perplexity", ",.1f"),
    ("", "report", "bits_per_byte", "bits per byte", ".3f"),
    ("classifier", "classifier", "test_accuracy", "accuracy", ".1%"),
    ("", "comparison", "linear_accuracy", "  a linear model's", ".1%"),
    ("", "classifier", "test_f1", "F1", ".3f"),
    ("", "comparison", "linear_f1", "  a linear model's", ".3f"),
    ("instructions", "instructions", "exact_match", "exact match", ".1%"),
    ("", "instructions", "rouge_l", "ROUGE-L", ".3f"),
)
_COLUMNS = {
    "vocab_size": ("tokens", ",.0f"),
    "tokens_per_word": ("per word", ".2f"),
    "bytes_per_token": ("bytes each", ".2f"),
    "whole_words": ("words whole", ".0%"),
    "vocabulary_used": ("used", ".0%"),
    "unknown_share": ("unknown", ".1%"),
    "exact_share": ("exact", ".0%"),
    "train_seconds": ("training", ".1f s"),
    "megabytes_per_second": ("encoding", ".1f MB/s"),
}
_MEANINGS = {
    "train_loss": "nats per token, on text that it learned from",
    "validation_loss": "nats per token, on text that it did not learn from",
    "test_loss": "nats per token of the right answers",
    "exact_match": "of the test answers are right to the letter",
    "rouge_l": "words in common with the right answers, from 0 to 1",
    "stop_rate": "of the test answers ended by themselves",
    "left_out_examples": "longer than the model can read",
}
_TABLE_WIDTH = 112  # characters; a narrower terminal wraps the lines
_PIECE_COLOURS = ("black on cyan", "black on yellow", "black on green", "black on magenta")
_MADE = {
    "shards": "token shards",
    "pretrained": "pretrained",
    "report": "report",
    "classifier": "classifier",
    "instructions": "instructions",
}


def print_result(
    console: Console, config: RunConfig, result: FlowResult, seconds: float, prefect_url: str
) -> None:
    """Print what a flow made, in the form that fits it.

    Args:
        console: Where to print.
        config: The run's configuration.
        result: The artifacts of a run of the whole pipeline, or one artifact.
        seconds: How long the run took.
        prefect_url: The Prefect API's address.
    """
    if isinstance(result, dict):
        if "pretrained" in result:
            print_summary(console, config, result, seconds, prefect_url)
        else:
            print_classifier(console, result, seconds)
        return
    if result.manifest().info.get("report") == "judgements":
        print_judgements(console, result, seconds)
        return
    if result.manifest().info.get("report") == "predictions":
        print_predictions(console, config, result, seconds)
        return
    if result.manifest().info.get("report") == "anatomy":
        print_anatomy(console, config, result, seconds)
        return
    compared = result.manifest().config if result.kind == "report" else None
    shown = {
        "tokenizers": print_comparison,
        "checkpoints": print_models,
        "classifiers": print_classifier_table,
    }
    show = shown.get(compared, print_artifact) if isinstance(compared, str) else print_artifact
    show(console, result, seconds)


def print_summary(
    console: Console,
    config: RunConfig,
    made: Mapping[str, Artifact],
    seconds: float,
    prefect_url: str,
) -> None:
    """Print metrics, samples, paths and the next commands.

    Args:
        console: Where to print.
        config: The run's configuration.
        made: The artifacts of a run of the whole pipeline, by name.
        seconds: How long the run took.
        prefect_url: The Prefect API's address.
    """
    _print(console, f"\nDone in {seconds:.0f} s. On text that training did not see:", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in ("  model", "metric"):
        table.add_column(column)
    table.add_column("value", justify="right")
    for model, key, name, label, form in _ROWS:
        value = made[key].metrics().get(name) if key in made else None
        if value is not None:
            table.add_row(f"  {model}", label, format(value, form))
    console.print(table)
    _print_samples(console, read_json(made["report"].directory / REPORT)["samples"])
    _print_lines(console, "Made", [(_MADE[key], str(short(made[key].directory))) for key in _MADE])
    _print_lines(console, "Next", _next_commands(config, made, prefect_url))


def print_artifact(console: Console, artifact: Artifact, seconds: float) -> None:
    """Print one artifact's metrics and path."""
    _print(console, f"\nDone in {seconds:.0f} s.", style="bold")
    for name, value in artifact.metrics().items():
        meaning = _MEANINGS.get(name, "")
        _print(console, f"  {name:<24}{value:>14,.6g}   {meaning}".rstrip())
    _print_lines(console, "Made", [(artifact.kind, str(short(artifact.directory)))])
    if artifact.kind == "checkpoint":
        _print_lines(console, "Next", _uses_of(artifact))


def print_anatomy(console: Console, config: RunConfig, report: Artifact, seconds: float) -> None:
    """Print where the page of a dissected model is."""
    content = read_json(report.directory / REPORT)
    about, chapters = content["about"], content["chapters"]
    _print(console, f"\nDone in {seconds:.0f} s: {len(chapters)} chapters.", style="bold")
    _print(console, f"  {about['text']}")
    made = [("open it", str(report.directory / "anatomy.html"))]
    if config.anatomy.notebooks is not None:
        made.append(("notebooks", config.anatomy.notebooks))
    _print_lines(console, "Made", made)


def print_comparison(console: Console, comparison: Artifact, seconds: float) -> None:
    """Print a table of several tokenizers and how each splits a sentence."""
    content = read_json(comparison.directory / REPORT)
    _print(console, f"\nDone in {seconds:.0f} s.", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("tokenizer", no_wrap=True)
    for label, _ in _COLUMNS.values():
        table.add_column(label, justify="right", no_wrap=True)
    for row in content["tokenizers"]:
        table.add_row(row["tokenizer"], *(_cell(row.get(name), name) for name in _COLUMNS))
    _print_table(console, table)
    sentence = content["sentences"][0]["sentence"] if content["sentences"] else ""
    _print(console, f"\n{sentence}", style="bold")
    for row in content["sentences"]:
        if row["sentence"] == sentence:
            line = Text(f"  {row['tokenizer']:<20}{row['tokens']:>4}  ")
            between = "" if console.is_terminal else "|"  # in place of colours
            for piece, colour in zip(row["pieces"], cycle(_PIECE_COLOURS), strict=False):
                line.append(piece + between, style=colour)
            console.print(line, soft_wrap=True)
    _print_lines(console, "Made", [("report", str(short(comparison.directory)))])
    _print_lines(console, "Next", [("look at plots", "gptflow up   (then MLflow)")])


def print_models(console: Console, comparison: Artifact, seconds: float) -> None:
    """Print a table of several checkpoints, a column for each."""
    rows = read_json(comparison.directory / REPORT)["checkpoints"]
    _print(console, f"\nDone in {seconds:.0f} s.", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("metric", no_wrap=True)
    for row in rows:
        table.add_column(row["checkpoint"], justify="right", no_wrap=True)
    for name in dict.fromkeys(key for row in rows for key in row if key != "checkpoint"):
        values = [row.get(name) for row in rows]
        table.add_row(name, *("" if value is None else f"{value:,.4f}" for value in values))
    _print_table(console, table)
    _print_lines(console, "Made", [("report", str(short(comparison.directory)))])
    _print_lines(console, "Next", [("look at answers", "gptflow up   (then MLflow)")])


def _cell(value: float | None, name: str) -> str:
    """Format a tokenizer's metric with its unit."""
    form, _, unit = _COLUMNS[name][1].partition(" ")
    return "" if value is None else f"{value:{form}} {unit}".rstrip()


def _next_commands(
    config: RunConfig, made: Mapping[str, Artifact], prefect_url: str
) -> list[tuple[str, str]]:
    prompt = next((text for text in config.evaluation.prompts if text), "...")
    return [
        ("continue", _generate_command(made["pretrained"], prompt)),
        ("ask", _ask_command(made["instructions"])),
        ("in a browser", _serve_command(made)),
        ("compare runs", "gptflow up   (then MLflow at the address that it prints)"),
        ("see the flow", f"{prefect_url.removesuffix('/api')}/runs   ({_prefect()})"),
        ("your own text", "gptflow run source=PATH name=mine training.steps=1000"),
    ]


def _uses_of(checkpoint: Artifact) -> list[tuple[str, str]]:
    """The commands that use a language model or a model that was tuned on instructions."""
    place = short(checkpoint.directory)
    tuned = read_description(checkpoint.directory).kind == "instruction"
    return [
        ("ask" if tuned else "continue", _generate_command(checkpoint, "...")),
        ("look inside", f'gptflow anatomy --checkpoint {place} "..."'),
        ("in a browser", f"gptflow serve --checkpoint {place}"),
    ]


def _prefect() -> str:
    password = password_file()
    return f"Prefect; password: {short(password)}" if password.is_file() else "Prefect"


def _generate_command(checkpoint: Artifact, prompt: str) -> str:
    return f'gptflow generate --checkpoint {short(checkpoint.directory)} "{prompt}"'


def _serve_command(made: Mapping[str, Artifact]) -> str:
    served = (made[name].directory for name in ("pretrained", "instructions", "classifier"))
    return " ".join(("gptflow serve", *(f"--checkpoint {short(path)}" for path in served)))


def _ask_command(checkpoint: Artifact) -> str:
    """Ask what the model answered rightly, if there is such a question."""
    rows = answers(checkpoint).sort_values("exact_match", ascending=False, kind="stable")
    if rows.empty:
        return _generate_command(checkpoint, "...")
    asked = rows.iloc[0]
    given = f"--input {quote(asked['input'])} " if asked["input"] else ""
    command = f"gptflow generate --checkpoint {short(checkpoint.directory)} temperature=0"
    return f"{command} {given}{quote(asked['instruction'])}"


def _print_samples(console: Console, samples: list[dict[str, str]]) -> None:
    _print(console, "\nThe model writes:", style="bold")
    for sample in samples:
        text = " ".join(f"{sample['prompt']}{sample['text']}".split())
        console.print(f"  {text}", markup=False, highlight=False)


def _print_lines(console: Console, title: str, lines: list[tuple[str, str]]) -> None:
    _print(console, f"\n{title}:", style="bold")
    for what, text in lines:
        _print(console, f"  {what:<15}{text}")


def _print_table(console: Console, table: Table) -> None:
    """Print a table without truncating columns; a narrower terminal wraps its lines."""
    if console.width < _TABLE_WIDTH:
        console = Console(
            file=console.file,
            width=_TABLE_WIDTH,
            force_terminal=console.is_terminal,
            highlight=False,
        )
    console.print(table)


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
