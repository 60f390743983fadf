"""The commands that keep a home in order: clean, backup, restore.

Each imports what it needs when it is called, so that help and mistakes are answered at once.
"""

from pathlib import Path
from typing import Annotated

import typer

upkeep = typer.Typer()
"""The commands; the command line adds them to its own."""


@upkeep.command()
def clean(
    keep: Annotated[
        int, typer.Option(min=0, help="How many of each kind and name stay, the last used first.")
    ] = 3,
    older_than: Annotated[
        str, typer.Option(help="Remove only what was not used for so long, such as 12h, 30d, 2w.")
    ] = "0d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove artifacts that no champion, running run, kept or pinned artifact needs."""
    from rich.console import Console

    from flows.cleaning import clean_home, parse_age
    from tasks.cleaning import Rules
    from tasks.environment import configure_environment
    from tasks.server_checks import check_servers

    rules = Rules(keep=keep, older_than=parse_age(older_than))
    configure_environment()
    check_servers()
    clean_home(rules, Console(), dry_run=dry_run, yes=yes)


@upkeep.command()
def backup(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Where a new folder is made; the home's backups."),
    ] = None,
) -> None:
    """Copy the databases of Prefect and MLflow, also while servers and runs are running."""
    from tasks.backup import back_up, databases, describe

    made = back_up(folder)
    for line in describe(made):
        typer.echo(line)
    if len(databases()) < 2:
        typer.echo("Not copied: the database of a server that runs elsewhere.")
    typer.echo(f"Put it back with: gptflow restore {made}")


@upkeep.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that backup made.")],
) -> None:
    """Put the databases of a backup back; those that are replaced are kept beside them."""
    from tasks.backup import restore as put_back
    from tasks.up import nothing_runs

    with nothing_runs():
        for file, kept in put_back(folder):
            typer.echo(f"restored {file}" + (f"; before: {kept}" if kept else ""))
