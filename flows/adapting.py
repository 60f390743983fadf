"""The commands for adapters: show one, merge one into the weights of its model.

Each imports what it needs when it is called, so that help and mistakes are answered at once.
"""

from pathlib import Path
from typing import Annotated

import typer

adapters = typer.Typer(help="Adapters that fine-tunes with lora.rank made: show, merge.")
"""The commands; the command line adds them as ``gptflow adapters``."""

_Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="An adapter, or a checkpoint that has one.")
]


@adapters.command()
def show(directory: _Directory) -> None:
    """Show an adapter: its rank, layers and size, and which model it belongs to."""
    from gpt_core.finetuning import describe_adapter
    from gpt_core.models import read_adapter
    from tasks.paths import expand_path

    rows = describe_adapter(read_adapter(expand_path(str(directory)).resolve()))
    width = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:{width}}  {value}")
    typer.echo(f'use it: gptflow generate --checkpoint DIR --adapter {directory} "..."')


@adapters.command()
def merge(
    directory: _Directory,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The model that it belongs to, if it is not found."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the checkpoint is written.")
    ] = None,
) -> None:
    """Write a checkpoint with the adapter's update in the weights, which needs no adapter."""
    from gpt_core.artifact import fingerprint_of
    from gpt_core.errors import ConfigError
    from gpt_core.files import sha256_file
    from gpt_core.finetuning import base_of, merge_adapter
    from gpt_core.models import find_adapter
    from tasks.paths import artifact_dir, expand_path
    from tasks.reads import Given

    adapter = find_adapter(expand_path(str(directory)).resolve())
    base = Given(checkpoint, "checkpoint").read() if checkpoint else base_of(adapter)
    key = fingerprint_of(base, *(sha256_file(file) for file in sorted(adapter.iterdir())))
    place = artifact_dir("checkpoint", "merged", key) if out is None else out.resolve()
    if out is not None and place.exists():
        raise ConfigError(f"--out {out} exists already: name a directory that does not")
    made = merge_adapter(base, adapter, place)
    typer.echo(f"merged: {made.path}")
    typer.echo(f'use it: gptflow generate --checkpoint {made.path} "..."')
