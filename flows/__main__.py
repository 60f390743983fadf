"""Command line: ``gptflow FLOW [--preset P] [--config F] [--dry-run] [section.field=value ...]``.

Only the configuration is imported until it is validated, so that help and mistakes are answered at
once.
"""

import gc
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.declarations import FLOWS, Flow
from flows.output import secure_output
from gpt_core import __version__
from gpt_core.checkpoints import TRAINING_STATE
from gpt_core.config import PRESETS, DecodingConfig, RunConfig, load_config
from gpt_core.errors import ConfigError, DataError, GPTCoreError
from gpt_core.redaction import redact
from gpt_core.signals import exit_on_sigterm
from tasks.addresses import (
    hide_passwords,
    hide_server_passwords,
    redact_logs,
    require_no_passwords,
)

app = typer.Typer(
    help="Raw text to a trained, evaluated and fine-tuned GPT. "
    "Settings are section.field=value, such as training.steps=500.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Settings = Annotated[
    list[str] | None,
    typer.Argument(
        help="section.field=value, such as training.steps=500; docs/settings.md lists all."
    ),
]
Preset = Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A TOML file of settings.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]

_STOPPED = "gptflow: stopped; the same command resumes from here"
_DISK_FULL = "the disk is full: free some space, and the same command resumes from here"
_MIN_FREE = 1 << 20  # bytes, of which a database of Prefect or MLflow needs some for any write
_SETTING = re.compile(r"(generation\.)?[a-z_]+=\S*")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gptflow {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


def _command(flow: Flow) -> Callable[..., None]:
    def command(
        settings: Settings = None,
        preset: Preset = "tiny",
        config: ConfigFile = None,
        dry_run: DryRun = False,
    ) -> None:
        given = [flow.resolve_alias(each) for each in settings or []]
        resolved = hide_passwords(load_config(preset, config, given))
        unread = [redact(each) for each in given if not flow.reads_setting(each)]
        if unread:
            typer.echo(f"without effect, because {flow.name} does not read it: {', '.join(unread)}")
        if dry_run:
            _show_plan(flow, resolved)
        else:
            _run(flow, resolved)

    return command


def _show_plan(flow: Flow, config: RunConfig) -> None:
    from rich.console import Console

    from flows.preflight import check_flow
    from tasks.environment import configure_environment

    notices = check_flow(flow, config)
    configure_environment()
    with tempfile.TemporaryDirectory() as folder:
        if not Path(os.environ["PREFECT_HOME"]).is_dir():
            os.environ["PREFECT_HOME"] = folder  # Prefect creates its home, a plan creates nothing
        from flows.plan import print_plan

        print_plan(flow, config, Console())
        for notice in notices:
            typer.echo(f"note: {notice}")


def _run(flow: Flow, config: RunConfig) -> None:
    """Run a flow on the local servers and print its result."""
    from rich.console import Console

    from flows.preflight import check_flow
    from tasks.server_checks import check_servers
    from tasks.servers import PrefectServer

    console, started = Console(), time.monotonic()
    check_flow(flow, config)
    check_servers()
    server = PrefectServer()
    server.start()
    console.print(f"gptflow {flow.name}: {config.name}, from {config.source}", highlight=False)
    with console.status("loading ..."), _without_gc():  # while the server starts
        from flows.display import TerminalDisplay
        from flows.running import run_flow
        from flows.summary import print_result
        from tasks.progress import use_display
        from tasks.tracking import client

        client()  # opens the MLflow store, or creates it
        server.wait()
    with TerminalDisplay(console) as display, use_display(display):
        result = run_flow(flow, config)
    print_result(console, config, result, time.monotonic() - started, server.url)


@contextmanager
def _without_gc() -> Iterator[None]:
    """Load without garbage collection, and keep what was loaded out of every later collection.

    It is hundreds of thousands of objects that live until the end: this saves a tenth of the time
    that imports take, and more than a second at the interpreter's exit.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@app.command()
def generate(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar='[field=value ...] "prompt"', help="The text to continue."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint's directory; the newest if not given.")
    ] = None,
) -> None:
    """Continue a prompt. Settings are those of the section generation, such as temperature=0.5."""
    settings = [word for word in words or [] if _SETTING.fullmatch(word)]
    prompts = [word for word in words or [] if not _SETTING.fullmatch(word)]
    if len(prompts) > 1:
        raise ConfigError(f"one prompt is expected, put it in quotes; there are {len(prompts)}")
    named = [f"generation.{setting.removeprefix('generation.')}" for setting in settings]
    decoding = load_config("tiny", settings=named).generation
    _generate("".join(prompts), decoding, checkpoint)


def _generate(prompt: str, decoding: DecodingConfig, checkpoint: Path | None) -> None:
    from gpt_core.artifact import verify
    from gpt_core.generation import stream_text
    from tasks.paths import newest_checkpoint
    from tasks.reads import Given

    directory = checkpoint or newest_checkpoint()
    if directory is None:
        raise DataError("there is no checkpoint yet: make one with gptflow run")
    if checkpoint is None:
        typer.echo(f"from {directory}", err=True)
    verify(Given(str(directory), "checkpoint").read(), skip=[TRAINING_STATE])
    pieces = stream_text(directory, prompt, decoding)
    first = next(pieces, "")  # raises before anything is printed
    sys.stdout.write(prompt + first)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


@app.command()
def up(
    settings: Settings = None,
    preset: Preset = "tiny",
    config: ConfigFile = None,
    cron: Annotated[
        str | None, typer.Option(help="A schedule of the flow run, such as '0 3 * * *'.")
    ] = None,
) -> None:
    """Serve Prefect, MLflow and a worker for the deployments on 127.0.0.1 until Ctrl-C."""
    resolved = load_config(preset, config, settings or [])
    require_no_passwords(resolved)
    from flows.preflight import check_flow, check_home
    from tasks.server_checks import check_servers
    from tasks.servers import PrefectServer
    from tasks.up import only_up

    check_home()
    if cron is not None:
        from flows.cron import check_cron

        check_cron(cron)
        check_flow(FLOWS["run"], resolved)
    check_servers()
    with only_up():
        server = PrefectServer()
        server.start()
        typer.echo("starting ...")
        from flows.serving import serve_all

        serve_all(server, resolved, cron)


@app.command()
def submit(
    name: Annotated[str, typer.Argument(metavar="FLOW", help="A flow, such as pretrain.")],
    settings: Settings = None,
    preset: Annotated[
        str | None, typer.Option(help="Begin from this preset, not from what was served.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Print the run's log.")] = False,
) -> None:
    """Start a run on the server of gptflow up; settings change what was served there."""
    if name not in FLOWS:
        raise ConfigError(f"there is no flow {name!r}; there are {', '.join(FLOWS)}")
    from tasks.servers import connect_to_prefect

    if not connect_to_prefect():
        raise DataError("no Prefect server of gptflow is running: start gptflow up first")
    from rich.console import Console

    from flows import submitting

    console = Console()
    run = submitting.submit(FLOWS[name], preset, settings or [], console)
    if follow and not submitting.follow(run, console):
        raise SystemExit(1)


@app.command()
def lineage(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A directory, a run's id or models:/NAME@ALIAS.")
    ],
    form: Annotated[
        Literal["tree", "json", "mermaid"], typer.Option("--as", help="How it is printed.")
    ] = "tree",
) -> None:
    """Show where a model or another artifact comes from, back to the raw files."""
    from rich.console import Console

    from flows.lineage import print_lineage
    from tasks.environment import configure_environment

    configure_environment()
    print_lineage(name, form, Console())


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN ...", help="Names or ids.")],
) -> None:
    """Compare runs that MLflow recorded: settings, metrics, loss curves, samples."""
    from rich.console import Console

    from flows.comparison import compare_runs
    from tasks.environment import configure_environment

    configure_environment()
    compare_runs(runs, Console())


@app.command()
def down() -> None:
    """Stop the servers and the worker of this home, also those that a killed command left."""
    from tasks.paths import project_root
    from tasks.up import stop_everything

    typer.echo("stopped" if stop_everything() else f"nothing runs in {project_root()}")


@app.command()
def doctor() -> None:
    """List what this machine has and what is missing."""
    from flows.doctor import findings

    for line in findings():
        typer.echo(line)


def _exit_soon(code: int) -> None:
    """Do not wait for a Prefect server that a run found away."""
    absence = sys.modules.get("tasks.absence")  # imported by commands that use Prefect
    if absence is not None:
        absence.exit_if_prefect_is_away(code)


def main() -> None:
    """Run a command and exit: 0 done, 2 the user's mistake, 130 Ctrl-C, 1 anything else.

    SIGTERM ends a command with 143, after a run that can save a checkpoint has saved it.
    """
    registered = {command.name for command in app.registered_commands}
    for flow in (flow for flow in FLOWS.values() if flow.name not in registered):
        app.command(flow.name, help=flow.help)(_command(flow))
    secure_output()
    try:
        redact_logs()
        hide_server_passwords()
        with exit_on_sigterm():
            app(standalone_mode=False)
        _exit_soon(0)
    except GPTCoreError as error:
        typer.echo(f"gptflow: {error}", err=True)
        _exit_soon(2)
        raise SystemExit(2) from None
    except (typer.Abort, KeyboardInterrupt):
        typer.echo(_STOPPED, err=True)
        raise SystemExit(128 + signal.SIGINT) from None
    except SystemExit as end:
        if end.code == 128 + signal.SIGTERM:
            typer.echo(_STOPPED, err=True)
        raise
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):
            if error.format_message():  # else no command was given, and the help was printed
                typer.echo(
                    f"gptflow: {redact(error.format_message())} See gptflow --help.", err=True
                )
            raise SystemExit(2) from None
        if _is_disk_full(error):
            typer.echo(f"gptflow: {_DISK_FULL}", err=True)
            raise SystemExit(2) from None
        typer.echo(redact(traceback.format_exc()), err=True, nl=False)
        raise SystemExit(1) from None


def _is_disk_full(error: Exception) -> bool:
    """Whether a full disk explains an error; a server on it answers with an error of its own."""
    from gpt_core.files import is_disk_full
    from tasks.paths import project_root

    home = next(path for path in (project_root(), *project_root().parents) if path.exists())
    return is_disk_full(error) or shutil.disk_usage(home).free < _MIN_FREE


if __name__ == "__main__":
    main()
