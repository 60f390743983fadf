"""Command line of the core, without Prefect and MLflow: ``python -m gpt_core COMMAND``."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from gpt_core.config import PRESETS, build_config, load_config, use_limits
from gpt_core.errors import ConfigError, GPTCoreError
from gpt_core.serving import ServingConfig
from gpt_core.signals import exit_on_sigterm


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code: 0 success, 2 a GPTCoreError, 130 Ctrl-C. Other exceptions are not caught,
        so Python exits with 1.

    Raises:
        SystemExit: After SIGTERM, with code 143.
    """
    options = _parser().parse_args(arguments)
    command = {"train": _train, "generate": _generate, "serve": _serve}[options.command]
    try:
        with exit_on_sigterm():
            command(options)
    except GPTCoreError as error:
        print(f"gpt_core: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gpt_core: stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gpt_core", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser(
        "train",
        help="token shards to a checkpoint",
        description="Train; the same command resumes from the newest checkpoint in --out.",
    )
    train.add_argument("--shards", type=Path, required=True, help="a shards artifact")
    train.add_argument("--out", type=Path, required=True, help="the run's directory")
    train.add_argument("--preset", default="tiny", help=f"one of {', '.join(PRESETS)}")
    train.add_argument("--config", type=Path, help="a TOML file of settings")
    train.add_argument("settings", nargs="*", metavar="section.field=value")
    generate = commands.add_parser("generate", help="continue a prompt")
    generate.add_argument("--checkpoint", type=Path, required=True)
    generate.add_argument("settings", nargs="*", metavar="generation.field=value")
    generate.add_argument("prompt")
    _add_serve(commands)
    return parser


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = commands.add_parser("serve", help="serve checkpoints over HTTP, with OpenAI's routes")
    serve.add_argument("--checkpoint", action="append", required=True, metavar="DIR")
    serve.add_argument("--name", action="append", default=[], help="of each checkpoint, in order")
    serve.add_argument("--key-file", type=Path, help="a file with the key that clients must send")
    several = {"allowed_hosts": "--allowed-host", "allowed_origins": "--allow-origin"}
    for field in dataclasses.fields(ServingConfig):
        option = several.get(field.name, f"--{field.name.replace('_', '-')}")
        if field.name in several:
            serve.add_argument(option, dest=field.name, action="append")
        else:
            kind = int if field.default is None else type(field.default)
            serve.add_argument(option, dest=field.name, type=kind)


def _train(options: argparse.Namespace) -> None:
    config = load_config(options.preset, options.config, options.settings)
    is_first = os.environ.get("RANK", "0") == "0"  # torchrun's first process speaks for all
    if config.launch.nodes > 1 and "RANK" not in os.environ:
        raise ConfigError(
            "python -m gpt_core starts no processes: begin the command with torchrun "
            f"--nnodes={config.launch.nodes}, or use gptflow pretrain"
        )
    from gpt_core.artifact import read_artifact, verify
    from gpt_core.callbacks import ProgressLines
    from gpt_core.training import pretrain

    shards = read_artifact(options.shards, "shards")
    if is_first:
        verify(shards)  # reads every byte, which only one process of a run should
    lines = ProgressLines(partial(print, flush=True))
    with use_limits(config.limits):
        checkpoint = pretrain(
            shards, config.pretrain, options.out, callbacks=[lines], launch=config.launch
        )
    if is_first:
        print(checkpoint.path)


def _generate(options: argparse.Namespace) -> None:
    config = load_config("tiny", settings=options.settings)
    from gpt_core.artifact import read_artifact, verify
    from gpt_core.checkpoints import is_training_state
    from gpt_core.generation import stream_text

    checkpoint = read_artifact(options.checkpoint, "checkpoint")
    verify(checkpoint, skip=[*filter(is_training_state, checkpoint.manifest().files)])
    print(options.prompt, end="")
    with use_limits(config.limits):
        for piece in stream_text(options.checkpoint, options.prompt, config.generation):
            print(piece, end="", flush=True)
    print()


def _serve(options: argparse.Namespace) -> None:
    names = (field.name for field in dataclasses.fields(ServingConfig))
    given = {name: getattr(options, name) for name in names}
    set_ones = {name: value for name, value in given.items() if value is not None}
    config = build_config(ServingConfig, set_ones)
    from gpt_core.serving.starting import from_directory, named_checkpoints, run_server

    models = named_checkpoints(options.checkpoint, options.name, from_directory)
    run_server(models, config, options.key_file, partial(print, flush=True))


if __name__ == "__main__":
    sys.exit(main())
