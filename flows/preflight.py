"""Checks before a flow starts: what can be known to fail is reported at once."""

import os
from pathlib import Path

from flows.declarations import Flow
from flows.fitting import (
    check_benchmarks,
    check_devices,
    check_models,
    check_prompts,
    check_sentence,
    check_texts,
    check_tokenizers,
)
from flows.judgements import check_answers
from flows.predictions import check_predictions
from gpt_core.config import GPT2ImportConfig, RunConfig, use_limits
from gpt_core.errors import ConfigError, DataError
from gpt_core.text import (
    path_exists,
    read_example_splits,
    read_instruction_splits,
    read_preference_splits,
)
from tasks.hub import release_of
from tasks.paths import data_dir, expand_path, prefect_dir, project_root, tracking_dir
from tasks.reads import Given, Source
from tasks.sources import check_source, present_examples, present_file
from tasks.store import check_store


def check_flow(flow: Flow, config: RunConfig) -> list[str]:
    """Check that a flow can run: what it reads can be used, its results can be written.

    Returns:
        Sentences on rows of examples that will be left out.

    Raises:
        ConfigError: If a source is unknown, or there is no release.
        DataError: If a source has nothing to read, the checkpoint or tokenizer is none, or the
            project's folder cannot be written.
    """
    check_home()
    with use_limits(config.limits):
        return _check_reads(flow, config)


def _check_reads(flow: Flow, config: RunConfig) -> list[str]:
    for read in flow.all_reads(config):
        if isinstance(read, Source):
            check_source(read)
        elif isinstance(read, Given):
            read.read()
        else:
            _check_release(config.gpt2)
    check_devices(flow, config)
    check_tokenizers(flow, config)
    check_models(flow, config)
    check_texts(flow, config)
    if "benchmarks" in flow.sections:
        check_benchmarks(config)
    notices = check_tables(flow, config)
    check_prompts(flow, config)
    check_answers(flow, config)
    check_sentence(flow, config)
    notices += check_store(config.store)
    return notices + check_predictions(flow, config)


def check_home() -> None:
    """Check that the project's folders can be written.

    Raises:
        DataError: Naming the folder that cannot.
    """
    for folder in (project_root(), data_dir(), prefect_dir(), tracking_dir()):
        _require_writable(folder)


def check_tables(flow: Flow, config: RunConfig) -> list[str]:
    """Read and split the files of examples, which would otherwise fail after pretraining.

    Returns:
        Sentences on rows that will be left out.

    Raises:
        DataError: If a file cannot be read, naming the place in it, or has too few examples.
    """
    notices: list[str] = []
    sections = flow.sections_used(config)
    if "classification" in sections:
        files = present_examples(config.classification, "classification")
        if files is not None:
            path, held = files
            notices += read_example_splits(path, config.classification, held)[1].notices
    if "instruction" in sections:
        files = present_examples(config.instruction, "instruction")
        if files is not None:
            path, held = files
            notices += read_instruction_splits(path, config.instruction, held)[1].notices
    if "preference" in sections:
        file = present_file(Source(config.preference.source, "preference"))
        if file is not None:
            notice = read_preference_splits(file, config.preference)[1].notice
            notices += [notice] if notice else []
    return notices


def _require_writable(folder: Path) -> None:
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise DataError(
            f"{folder} cannot be written, because {nearest} is "
            f"{'read-only' if nearest.is_dir() else 'a file'}: set GPTFLOW_HOME to a folder that "
            "can be written"
        )


def _check_release(config: GPT2ImportConfig) -> None:
    if release_of(config) is not None:
        return
    folder = expand_path(config.source)
    if not path_exists(folder) or not folder.is_dir():
        raise ConfigError(
            f"gpt2.source must be a directory with config.json, model.safetensors and GPT-2's "
            f"vocabulary files, or hub:OWNER/NAME, got {config.source!r:.200}; or set gpt2.size"
        )
    check_source(Source(config.source))
    from gpt_core.interop import check_gpt2  # imports torch

    check_gpt2(folder.resolve())
