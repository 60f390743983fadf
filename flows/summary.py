"""The last lines of a run: what was made, how good it is, what to do next."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gpt_core.artifact import Artifact
from gpt_core.files import read_json

_ROWS = (
    ("pretrained model", "report", "loss", "loss (nats per token)", ".3f"),
    ("", "report", "bigram_loss", "  a bigram's", ".3f"),
    ("", "report", "untrained_loss", "  untrained", ".3f"),
    ("", "report", "perplexity", "perplexity", ",.1f"),
    ("", "report", "bits_per_byte", "bits per byte", ".3f"),
    ("classifier", "classifier", "test_accuracy", "accuracy", ".2%"),
    ("", "classifier", "test_f1", "F1", ".3f"),
    ("instructions", "instructions", "exact_match", "exact match", ".2%"),
    ("", "instructions", "rouge_l", "ROUGE-L", ".3f"),
)


def print_summary(
    console: Console, made: Mapping[str, Artifact], seconds: float, prefect_url: str
) -> None:
    """Print figures, one sample, places and the next commands.

    Args:
        console: Where to print.
        made: The artifacts of a whole run.
        seconds: How long the run took.
        prefect_url: The Prefect API's address.
    """
    table = Table(title=f"Done in {seconds:.0f} s", title_justify="left", box=None, pad_edge=False)
    for column in ("model", "held-out figure"):
        table.add_column(column)
    table.add_column("value", justify="right")
    for model, key, name, label, form in _ROWS:
        value = made[key].metrics().get(name)
        if value is not None:
            table.add_row(model, label, format(value, form))
    console.print()
    console.print(table)
    for sample in read_json(made["report"].directory / "report.json")["samples"][:1]:
        text = " ".join(f"{sample['prompt']}{sample['text']}".split())
        console.print("\nThe model writes:", style="bold")
        console.print(f"  {text}", markup=False, highlight=False)
    console.print("\nNext:", style="bold")
    checkpoint = _short(made["pretrained"].directory)
    for what, command in (
        ("write on", f'gptflow generate --checkpoint {checkpoint} "In winter"'),
        ("compare runs", "gptflow up   (MLflow and Prefect, until Ctrl-C)"),
        ("see the flow", prefect_url.removesuffix("/api")),
        ("your own text", "gptflow run source=PATH name=mine training.steps=1000"),
    ):
        console.print(f"  {what + ':':<15}{command}", markup=False, highlight=False, soft_wrap=True)


def print_artifact(console: Console, artifact: Artifact) -> None:
    """Print one artifact's figures and place."""
    console.print()
    for name, value in artifact.metrics().items():
        console.print(f"  {name:<24}{value:>14,.6g}", markup=False, highlight=False)
    console.print(f"\n{artifact.kind}: {_short(artifact.directory)}", soft_wrap=True)


def _short(path: Path) -> Path:
    """A path as it is typed from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
