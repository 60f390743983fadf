"""Start a server from a command, and print its address, its models and a first request."""

import gc
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from gpt_core.errors import ConfigError
from gpt_core.serving.models import Given, LanguageModel, Model, given_checkpoint
from gpt_core.serving.server import Server, log_to_stderr, read_key
from gpt_core.serving.settings import KEY_VARIABLE, ServingConfig
from gpt_core.signals import exit_without_threads

_LATE = "a thread of the server has not ended in time: the process ends without it"


def named_checkpoints(
    checkpoints: Sequence[str], names: Sequence[str], read: Callable[[str, str | None], Given]
) -> list[Given]:
    """Pair checkpoints with their names, which are given for all of them or for none.

    Args:
        checkpoints: Directories, or other addresses that ``read`` knows.
        names: Their names, or nothing.
        read: Opens one under a name.

    Raises:
        ConfigError: If there are more or fewer names.
    """
    if names and len(names) != len(checkpoints):
        raise ConfigError(
            f"there are {len(checkpoints)} checkpoints and {len(names)} names: give a --name for "
            "each or for none"
        )
    given: Sequence[str | None] = names or [None] * len(checkpoints)
    pairs = zip(checkpoints, given, strict=True)
    return [read(checkpoint, name) for checkpoint, name in pairs]


def from_directory(checkpoint: str, name: str | None) -> Given:
    """Open a checkpoint's directory to serve it."""
    return given_checkpoint(Path(checkpoint), name)


def run_server(
    given: Sequence[Given],
    config: ServingConfig,
    key_file: Path | None,
    show: Callable[[str], None],
    when_ready: Callable[[Server], None] = lambda server: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; a thread that hangs then ends the process with code 1.

    Args:
        given: The models.
        config: Where, and its limits.
        key_file: A file with the key that clients must send.
        show: Prints a line.
        when_ready: Called when every model is loaded.

    Raises:
        GPTCoreError: If the settings, the port or a model cannot be used.
    """
    key = read_key(key_file)
    server = Server(given, config, key)
    log_to_stderr()

    def ready() -> None:
        for line in greeting(server.url, server.models.list(), with_key=key is not None):
            show(line)
        when_ready(server)
        # What is loaded stays: looking for garbage in it would stop every stream for 0.1 s. Models
        # that are replaced have no cycles, so that they are freed all the same.
        gc.collect()
        gc.freeze()

    show(f"loading {', '.join(each.name for each in given)} ...")
    server.run(ready, partial(exit_without_threads, _LATE))
    show("stopped")


def greeting(url: str, models: Sequence[Model], *, with_key: bool) -> list[str]:
    """The address, the models, and a command that asks the first of them."""
    lines = [f"serving at {url}/ (Ctrl-C stops)"]
    lines += [f"  {model.name}: {model.description.kind}, {model.source}" for model in models]
    return [*lines, "try:", f"  {_example(url, models[0], with_key=with_key)}"]


def _example(url: str, model: Model, *, with_key: bool) -> str:
    if not isinstance(model, LanguageModel):
        route, body = "v1/classify", {"model": model.name, "input": "Call now to win a prize"}
    elif model.template is not None:
        messages = [{"role": "user", "content": "Who are you?"}]
        route, body = "v1/chat/completions", {"model": model.name, "messages": messages}  # type: ignore[dict-item]
    else:
        route, body = "v1/completions", {"model": model.name, "prompt": "In winter"}
    key = f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if with_key else ""
    return (
        f"curl {url}/{route} -H 'Content-Type: application/json'{key} "
        f"-d '{json.dumps(body, ensure_ascii=False)}'"
    )
