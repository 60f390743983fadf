"""The commands that are no flows, such as generate, up, deploy, submit, compare and doctor.

Each imports what it needs when it is called, so that help and mistakes are answered at once.
"""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.declarations import FLOWS
from gpt_core.checkpoints import TRAINING_STATE
from gpt_core.config import PRESETS, DecodingConfig, load_config
from gpt_core.errors import ConfigError, DataError, GPTCoreError
from tasks.addresses import require_no_passwords

if TYPE_CHECKING:
    from flows.deployments import DeploymentFile

tools = typer.Typer()
"""The commands; the command line adds them to its own."""

Settings = Annotated[
    list[str] | None,
    typer.Argument(
        help="section.field=value, such as training.steps=500; docs/settings.md lists all."
    ),
]
Preset = Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A TOML file of settings.")]

_SETTING = re.compile(r"(generation\.)?[a-z_]+=\S*")


@tools.command()
def generate(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar='[field=value ...] "prompt"', help="The text to continue."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="A checkpoint's directory or models:/NAME@ALIAS; the newest language model if "
            "not given.",
        ),
    ] = None,
    instruct: Annotated[
        bool,
        typer.Option("--instruct", help="The newest model that was tuned on instructions."),
    ] = False,
    adapter: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="An adapter for it, used without merging."),
    ] = None,
    context: Annotated[
        str,
        typer.Option(
            "--input", metavar="TEXT", help="What an instruction is about, such as a text to read."
        ),
    ] = "",
) -> None:
    """Continue a prompt. Settings are those of the section generation, such as temperature=0.5."""
    settings = [word for word in words or [] if _SETTING.fullmatch(word)]
    prompts = [word for word in words or [] if not _SETTING.fullmatch(word)]
    if len(prompts) > 1:
        raise ConfigError(f"one prompt is expected, put it in quotes; there are {len(prompts)}")
    named = [f"generation.{setting.removeprefix('generation.')}" for setting in settings]
    decoding = load_config("tiny", settings=named).generation
    if instruct and checkpoint is not None:
        raise ConfigError("--instruct is for the newest model: it goes without --checkpoint")
    _generate("".join(prompts), context, decoding, checkpoint, adapter, instruct=instruct)


def _generate(
    prompt: str,
    context: str,
    decoding: DecodingConfig,
    checkpoint: str | None,
    adapter: Path | None,
    *,
    instruct: bool,
) -> None:
    from gpt_core.artifact import verify
    from gpt_core.generation import stream_text, template_of
    from tasks.paths import expand_path
    from tasks.reads import REGISTERED, Given

    if adapter is not None and checkpoint is None:
        raise ConfigError("--adapter needs --checkpoint DIR, the model that it was trained on")
    named = checkpoint or _newest_model(tuned=instruct)
    model = Given(str(named), "checkpoint").read()
    if checkpoint is None or checkpoint.startswith(REGISTERED):
        typer.echo(f"from {model.path}", err=True)
    verify(model, skip=[TRAINING_STATE])
    place = None if adapter is None else expand_path(str(adapter)).resolve()
    pieces = stream_text(model.directory, prompt, decoding, place, context)
    first = next(pieces, "")  # raises before anything is printed
    continues = template_of(model.directory, place) is None
    sys.stdout.write(prompt + first if continues else first)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


def _newest_model(*, tuned: bool) -> Path:
    """The newest checkpoint that continues texts, or that was tuned to answer instructions."""
    from gpt_core.checkpoints import read_description
    from tasks.paths import newest_checkpoint

    kinds = ("instruction",) if tuned else ("pretrained", "imported")

    def accepts(directory: Path) -> bool:
        try:
            return read_description(directory).kind in kinds
        except GPTCoreError:  # damaged: no reason to refuse an older one
            return False

    found = newest_checkpoint(accepts)
    if found is None:
        wanted = "model tuned on instructions" if tuned else "language model"
        command = "instruct" if tuned else "run"
        raise DataError(f"there is no {wanted} yet: make one with gptflow {command}")
    return found


@tools.command()
def up(
    settings: Settings = None,
    preset: Preset = "tiny",
    config: ConfigFile = None,
    cron: Annotated[
        str | None, typer.Option(help="A schedule of the flow run, such as '0 3 * * *'.")
    ] = None,
    restarts: Annotated[
        int, typer.Option(min=0, help="How often a run is started again that was killed.")
    ] = 2,
) -> None:
    """Serve Prefect, MLflow and a worker for the deployments on 127.0.0.1 until Ctrl-C."""
    resolved = load_config(preset, config, settings or [])
    require_no_passwords(resolved)
    from flows.deployments import find_file, read_file, without_clusters
    from flows.preflight import check_flow, check_home
    from tasks.notifications import check_addresses
    from tasks.server_checks import check_servers
    from tasks.servers import PrefectServer
    from tasks.up import only_up
    from tasks.upgrades import upgrade_stores

    check_home()
    if cron is not None:
        from flows.cron import check_cron

        check_cron(cron)
        check_flow(FLOWS["run"], resolved)
    file = find_file()
    declared = None if file is None else without_clusters(read_file(file))
    if declared is not None:
        _check_served(declared)
    check_servers()
    check_addresses()
    for sentence in upgrade_stores():
        typer.echo(sentence)
    with only_up():
        server = PrefectServer()
        server.start()
        typer.echo("starting ...")
        from flows.serving import serve_all

        serve_all(server, resolved, cron, restarts, declared)


@tools.command()
def deploy(
    file: Annotated[
        Path | None,
        typer.Argument(help="A file of deployments; deployments.toml if not given."),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove deployments that are no longer in the file.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
) -> None:
    """Register the deployments of a file: flows with settings, schedules and work pools."""
    from flows.deployments import FILE_NAME, find_file, read_file, without_clusters

    found = find_file(file)
    if found is None:
        raise ConfigError(f"there is no {FILE_NAME} here: name a file of deployments")
    every = read_file(found)
    declared = without_clusters(every)
    _check_served(declared)
    _write_jobs(every, dry_run=dry_run)
    if not declared.deployments:
        return
    from rich.console import Console

    from tasks.server_checks import check_servers
    from tasks.servers import PrefectServer

    check_servers()
    server = PrefectServer()
    server.start()
    from flows import deploying  # imports torch and Prefect while the server starts

    server.wait()
    deploying.deploy(declared, Console(), prune=prune, dry_run=dry_run)


def _write_jobs(declared: "DeploymentFile", *, dry_run: bool) -> None:
    """Write the jobs of deployments that a cluster's scheduler starts, and say how."""
    from flows.cluster_jobs import FOLDER, render, start_command, write_job

    for each in (one for one in declared.deployments if one.cluster is not None):
        if dry_run:
            typer.echo(render(each))
            continue
        file = write_job(each, declared.path.parent / FOLDER)
        typer.echo(f"Wrote {each.full_name}: start it with {start_command(each, file)}")


def _check_served(declared: "DeploymentFile") -> None:
    """Check what this machine can know of deployments that run here: that their flows can."""
    from flows.preflight import check_flow, check_home

    check_home()
    for each in declared.deployments:
        if each.pool is None:
            try:
                check_flow(each.flow, each.config)
            except GPTCoreError as error:
                raise ConfigError(f"{declared.path}, deployment {each.name!r}: {error}") from error


@tools.command()
def worker(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="The name of a work pool.")],
) -> None:
    """Execute the runs of a work pool until Ctrl-C, with Prefect's worker of its type."""
    from tasks.servers import connect_to_prefect

    if not connect_to_prefect():
        raise DataError("no Prefect server of gptflow is running: start gptflow up first")
    from flows.worker import run_worker

    run_worker(pool)


@tools.command()
def submit(
    name: Annotated[
        str,
        typer.Argument(metavar="FLOW", help="A flow, such as pretrain, or FLOW/DEPLOYMENT."),
    ],
    settings: Settings = None,
    preset: Annotated[
        str | None, typer.Option(help="Begin from this preset, not from what was served.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Print the run's log.")] = False,
) -> None:
    """Start a run on the server of gptflow up; settings change what was served there."""
    flow, _, deployment = name.partition("/")
    if flow not in FLOWS:
        raise ConfigError(f"there is no flow {flow!r}; there are {', '.join(FLOWS)}")
    from tasks.servers import connect_to_prefect

    if not connect_to_prefect():
        raise DataError("no Prefect server of gptflow is running: start gptflow up first")
    from rich.console import Console

    from flows import submitting

    console = Console()
    run = submitting.submit(FLOWS[flow], deployment or flow, preset, settings or [], console)
    if follow and not submitting.follow(run, console):
        raise SystemExit(1)


@tools.command()
def lineage(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A directory, a run's id or models:/NAME@ALIAS.")
    ],
    form: Annotated[
        Literal["tree", "json", "mermaid", "picture"],
        typer.Option("--as", help="How it is printed."),
    ] = "tree",
) -> None:
    """Show where a model or another artifact comes from, back to the raw files."""
    from rich.console import Console

    from flows.lineage import print_lineage
    from tasks.environment import configure_environment

    configure_environment()
    print_lineage(name, form, Console())


@tools.command()
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN ...", help="Names or ids.")],
) -> None:
    """Compare runs that MLflow recorded: settings, metrics, loss curves, samples."""
    from rich.console import Console

    from flows.comparison import compare_runs
    from tasks.environment import configure_environment

    configure_environment()
    compare_runs(runs, Console())


@tools.command()
def promote(
    name: Annotated[
        str, typer.Argument(metavar="NAME[@VERSION]", help="A registered model; its candidate.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(help="benchmarks.field=value, which both models are measured on as well."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote it even if it is worse.")] = False,
    reason: Annotated[str | None, typer.Option(help="The reason, kept with the version.")] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the champion before.")
    ] = False,
) -> None:
    """Make a model the champion of its name if it is no worse than the present one."""
    unread = [each for each in settings or [] if not each.startswith(("benchmarks.", "registry."))]
    if unread:
        raise ConfigError(
            f"promote does not read {unread[0]}: it reads the sections benchmarks and registry"
        )
    config = load_config("tiny", settings=settings or [])
    if force != bool(reason and reason.strip()):
        raise ConfigError("--force needs --reason TEXT, and --reason needs --force")
    from rich.console import Console

    from tasks.environment import configure_environment

    configure_environment()
    from flows.promoting import promote_version, roll_back_champion

    if rollback:
        roll_back_champion(name, Console())
    else:
        promote_version(name, config, reason, Console())


@tools.command()
def summary(
    hours: Annotated[float, typer.Option(min=0.01, help="How far back.")] = 24.0,
) -> None:
    """Show the runs of the last hours, failures first, and keep that page in Prefect."""
    from tasks.servers import connect_to_prefect

    if not connect_to_prefect():
        raise DataError("no Prefect server of gptflow is running: start gptflow up first")
    from rich.console import Console

    from flows.daily import print_day, publish_day, read_day

    console, rows = Console(), read_day(hours)
    print_day(console, rows, hours)
    if publish_day(rows, hours):
        console.print("kept in Prefect: Artifacts, gptflow-summary", style="dim")


@tools.command()
def down() -> None:
    """Stop the servers and the worker of this home, also those that a killed command left."""
    from tasks.paths import project_root
    from tasks.up import stop_everything

    typer.echo("stopped" if stop_everything() else f"nothing runs in {project_root()}")


@tools.command()
def doctor() -> None:
    """List what this machine and this home have, and what is missing or broken."""
    from flows.doctor import findings, is_broken

    broken = 0
    for line in findings():
        typer.echo(line)
        broken += is_broken(line)
    if broken:
        typer.echo(f"{broken} of these must be fixed before runs are left alone", err=True)
        raise SystemExit(1)
