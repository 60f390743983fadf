"""What can be known to be wrong before anything starts."""

import os
from pathlib import Path
from typing import get_args

from gpt_core.artifact import Artifact, read_artifact
from gpt_core.config import Benchmark, BenchmarkConfig, RunConfig
from gpt_core.errors import ConfigError, DataError
from tasks.hub import release_of
from tasks.paths import data_dir, prefect_dir, project_root, tracking_dir
from tasks.sources import (
    PublicSource,
    check_sources,
    find_source,
    placed_file,
    reads_release,
    sources_of,
)


def check_flow(flow: str, config: RunConfig) -> None:
    """Find all that a flow reads, and see that it can write.

    Raises:
        ConfigError: If a source is unknown, or there is no release.
        DataError: If a source has nothing to read, the checkpoint or tokenizer is none, or the
            project's folder cannot be written.
    """
    check_home()
    if reads_release(config, flow):
        _require_release(config)
    if flow == "compare-tokenizers":
        for wanted in config.comparison.candidates(config.tokenizer).values():
            if isinstance(wanted, Path):
                given_tokenizer(wanted)
    elif flow == "compare-models":
        _check_benchmarks(config.benchmarks)
    elif config.checkpoint not in (None, "gpt2"):
        given_checkpoint(str(config.checkpoint))
    check_sources(config, flow)


def _check_benchmarks(config: BenchmarkConfig) -> None:
    if not config.checkpoints:
        raise ConfigError("benchmarks.checkpoints must name at least one checkpoint's directory")
    if not config.sources():
        *others, last = get_args(Benchmark)
        names = f"{', '.join(others)} and {last}"
        raise ConfigError(f"benchmarks needs one of {names}, with a file's path")
    for checkpoint in config.checkpoints:
        if checkpoint != "gpt2":
            given_checkpoint(checkpoint)


def given_checkpoint(directory: str) -> Artifact:
    """A checkpoint that was made before.

    Raises:
        DataError: If there is none in the directory.
    """
    return read_artifact(Path(directory).expanduser().resolve(), "checkpoint")


def given_tokenizer(directory: Path) -> Artifact:
    """A tokenizer that was trained before.

    Raises:
        DataError: If there is none in the directory.
    """
    return read_artifact(directory.expanduser().resolve(), "tokenizer")


def check_home() -> None:
    """See that the project's folders can be written.

    Raises:
        DataError: Naming the folder that cannot.
    """
    for folder in (project_root(), data_dir(), prefect_dir(), tracking_dir()):
        _require_writable(folder)


def check_tables(flow: str, config: RunConfig) -> None:
    """Read the tables of the fine-tunes, which would else be read only after pretraining.

    Raises:
        DataError: Naming the line, the column or the key that is not there.
    """
    from gpt_core.data import read_examples, read_instructions  # torch: too slow for check_flow

    columns = config.classification.text_column, config.classification.label_column
    for name, role in sources_of(config, flow):
        found = find_source(name, role)
        file = placed_file(name, found) if isinstance(found, PublicSource) else found
        if role == "classification" and file.is_file():
            read_examples(file, *columns)
        elif role == "instruction" and file.is_file():
            read_instructions(file)


def _require_writable(folder: Path) -> None:
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise DataError(
            f"{folder} cannot be written, because {nearest} is "
            f"{'read-only' if nearest.is_dir() else 'a file'}: set GPTFLOW_HOME to a folder that "
            "can be written"
        )


def _require_release(config: RunConfig) -> None:
    if release_of(config.gpt2) is not None:
        return
    folder = Path(config.gpt2.source).expanduser()
    if not folder.is_dir():
        raise ConfigError(
            f"gpt2.source must be a directory with config.json, model.safetensors and GPT-2's "
            f"vocabulary files, or hub:OWNER/NAME, got {config.gpt2.source!r}; or set gpt2.size"
        )
