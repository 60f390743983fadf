"""Command line: ``gptflow FLOW [--preset P] [--config F] [--dry-run] [section.field=value ...]``.

Only the configuration is imported until it is validated, so that help and mistakes are answered at
once.
"""

import gc
import inspect
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from flows.adapting import adapters
from flows.declarations import FLOWS, Flow
from flows.model_server import server_tools
from flows.output import secure_output
from flows.sections import SECTIONS
from flows.tools import ConfigFile, Preset, Settings, tools
from flows.upkeep import upkeep
from gpt_core import __version__
from gpt_core.config import RunConfig, load_config
from gpt_core.errors import ConfigError, GPTCoreError
from gpt_core.redaction import redact
from gpt_core.signals import exit_on_sigterm
from tasks.addresses import hide_passwords, hide_server_passwords, redact_logs

app = typer.Typer(
    help="Raw text to a trained, evaluated and fine-tuned GPT. "
    "Settings are section.field=value, such as training.steps=500.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(tools)
app.add_typer(upkeep)
app.add_typer(server_tools)
app.add_typer(adapters, name="adapters")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]

_STOPPED = "gptflow: stopped; the same command resumes from here"
_DISK_FULL = "the disk is full: free some space, and the same command resumes from here"
_MIN_FREE = 1 << 20  # bytes, of which a database of Prefect or MLflow needs some for any write


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
        **options: str | None,
    ) -> None:
        given = [flow.resolve_alias(each) for each in _settings_of(flow, settings or [])]
        named = {flow.options[name]: value for name, value in options.items() if value is not None}
        given += [f"{setting}={json.dumps(value)}" for setting, value in named.items()]
        resolved = hide_passwords(load_config(preset, config, given))
        unread = [redact(each) for each in given if not flow.reads_setting(each)]
        if unread:
            typer.echo(f"without effect, because {flow.name} does not read it: {', '.join(unread)}")
        if dry_run:
            _show_plan(flow, resolved)
        else:
            _run(flow, resolved)

    return _with_options(command, flow)


def _settings_of(flow: Flow, words: list[str]) -> list[str]:
    """The settings of a command whose one argument may be a text, which becomes a setting too.

    Raises:
        ConfigError: If there are several texts.
    """
    if flow.text is None:
        return words
    texts = [word for word in words if not _is_setting(word)]
    if len(texts) > 1:
        raise ConfigError(f"one text is expected, put it in quotes; there are {len(texts)}")
    settings = [word for word in words if _is_setting(word)]
    return [*settings, *(f"{flow.text}={json.dumps(text)}" for text in texts)]


def _is_setting(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.partition(".")[0] in SECTIONS and " " not in name


def _with_options(command: Callable[..., None], flow: Flow) -> Callable[..., None]:
    """Give a command the options of its flow, each the same as a setting."""
    signature = inspect.signature(command)
    parameters = [each for each in signature.parameters.values() if each.name != "options"]
    for name, setting in flow.options.items():
        shown = typer.Option(f"--{name}", help=f"The same as {setting}=.")
        kind = Annotated[str | None, shown]
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        )
        command.__annotations__[name] = kind
    vars(command)["__signature__"] = signature.replace(parameters=parameters)
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
    """Run a flow here, unless this is another node than the first of its run."""
    from flows.preflight import check_flow

    check_flow(flow, config)
    if config.launch.nodes == 1 or "launch" not in flow.form_sections:
        _run_here(flow, config)
        return
    from tasks.joining import join

    with join(config, partial(typer.echo, err=True)) as leads:
        if leads:
            _run_here(flow, config)


def _run_here(flow: Flow, config: RunConfig) -> None:
    """Run a flow on the local servers and print its result."""
    from rich.console import Console

    from tasks.notifications import check_addresses
    from tasks.server_checks import check_servers
    from tasks.servers import PrefectServer
    from tasks.upgrades import upgrade_stores

    console, started = Console(), time.monotonic()
    check_servers()
    check_addresses()
    for sentence in upgrade_stores():
        typer.echo(sentence)
    server = PrefectServer()
    server.start()
    origin = flow.origin(config)
    console.print(f"gptflow {flow.name}: {config.name}, from {origin}", highlight=False)
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
