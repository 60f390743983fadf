"""Each chapter as a notebook, whose cells call the functions behind the page.

References:
    "The Jupyter Notebook Format", version 4.5.
"""

import json
from dataclasses import asdict
from pathlib import Path

from gpt_core.artifact import Artifact
from gpt_core.config import CleaningConfig
from gpt_core.files import atomic_write_text, disk_errors
from tasks.anatomy.chapters import CHAPTERS, Chapter
from tasks.anatomy.sources import read_source
from tasks.paths import expand_path

_CELL = "# %%\n"
_OPENING = """from pathlib import Path

from gpt_core.chapters import open_subject
from gpt_core.config import CleaningConfig

checkpoint = Path({checkpoint!r})
subject = open_subject(checkpoint, {text!r}, CleaningConfig({cleaning}))
model, tokenizer, recording = subject.model, subject.tokenizer, subject.recording
names = list(subject.sentence.names)
names"""
_SOURCE = """import inspect

from {module} import {name}

print(inspect.getsource({shown}))"""


def write_notebooks(
    checkpoint: Artifact, text: str, cleaning: CleaningConfig, shown: list[str], folder: str
) -> list[Path]:
    """Write the chapters that fit a checkpoint as notebooks.

    Args:
        checkpoint: The checkpoint.
        text: The sentence.
        cleaning: The rules that clean it.
        shown: Names of the chapters.
        folder: Is created; notebooks of the same names in it are replaced.

    Raises:
        DataError: If the folder cannot be written.
    """
    place = expand_path(folder).resolve()
    written = []
    chosen = [chapter for chapter in CHAPTERS if chapter.name in shown]
    with disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        for number, chapter in enumerate(chosen, start=1):
            notebook = build_notebook(chapter, checkpoint.directory, text, cleaning)
            path = place / f"{number:02d}-{chapter.name.replace('_', '-')}.ipynb"
            with atomic_write_text(path) as file:
                file.write(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n")
            written.append(path)
    return written


def build_notebook(
    chapter: Chapter, checkpoint: Path, text: str, cleaning: CleaningConfig
) -> dict[str, object]:
    """A chapter as a notebook: the prose, the source, and cells to run and change."""
    default = asdict(CleaningConfig())
    changed = {name: value for name, value in asdict(cleaning).items() if value != default[name]}
    arguments = ", ".join(f"{name}={value!r}" for name, value in changed.items())
    cells = [
        _markdown(f"# {chapter.title}\n\n{chapter.prose}"),
        _code(_OPENING.format(checkpoint=str(checkpoint), text=text, cleaning=arguments)),
    ]
    for address in chapter.sources:
        cells += [_markdown(f"`{read_source(address).place}`"), _code(_source_cell(address))]
    cells += [_code(code.strip()) for code in chapter.cells.split(_CELL)]
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
        "cells": [{"id": f"{chapter.name}-{i}", **cell} for i, cell in enumerate(cells)],
    }


def _markdown(text: str) -> dict[str, object]:
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def _code(text: str) -> dict[str, object]:
    code: dict[str, object] = {"cell_type": "code", "metadata": {}, "source": text}
    return code | {"execution_count": None, "outputs": []}


def _source_cell(address: str) -> str:
    module, _, shown = address.partition(":")
    return _SOURCE.format(module=module, name=shown.partition(".")[0], shown=shown)
