"""Small checkpoints that predict: a classifier of bytes, and models that write."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import CheckpointDescription
from gpt_core.checkpoints import write_checkpoint as write_files
from gpt_core.config import GPTConfig
from gpt_core.models import GPTClassifier, build_model, save_weights

SHAPE = GPTConfig(n_layer=1, n_head=2, n_embd=16, vocab_size=257, context_length=32)


@pytest.fixture(scope="session")
def write_classifier(
    byte_tokenizer: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Artifact]:
    """Writes a classifier with weights as they were drawn, and a sharp head."""

    def write(labels: tuple[str, ...] = ("ham", "spam"), **description: object) -> Artifact:
        out = tmp_path_factory.mktemp("classifier") / "checkpoint"
        torch.manual_seed(3)
        model = GPTClassifier(build_model(SHAPE, seed=5), len(labels))
        torch.nn.init.normal_(model.score.weight, std=2.0)
        with new_artifact(out, kind="checkpoint", parents=[byte_tokenizer]) as draft:
            write_files(
                draft,
                CheckpointDescription(
                    kind="classifier", step=1, model=SHAPE, labels=labels, **description  # type: ignore[arg-type]
                ),
                save_weights=partial(save_weights, model),
                save_tokenizer=partial(shutil.copytree, byte_tokenizer.directory),
            )  # fmt: skip
        return draft.artifact

    return write


@pytest.fixture(scope="session")
def classifier(write_classifier: Callable[..., Artifact]) -> Artifact:
    """Two labels, calibrated by a temperature; texts are read in windows of 16 bytes."""
    return write_classifier(temperature=1.7, max_tokens=16, windows=True)


@pytest.fixture
def source(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Writes a file."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="session")
def write_writer(
    byte_tokenizer: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Artifact]:
    """Writes a language model, or with a template one that follows instructions."""

    def write(template: str | None = None) -> Artifact:
        out = tmp_path_factory.mktemp("writer") / "checkpoint"
        shape = replace(SHAPE, context_length=64)
        description = CheckpointDescription(
            kind="instruction" if template else "pretrained", step=1, model=shape, template=template
        )
        with new_artifact(out, kind="checkpoint", parents=[byte_tokenizer]) as draft:
            write_files(
                draft,
                description,
                save_weights=partial(save_weights, build_model(shape, seed=9)),
                save_tokenizer=partial(shutil.copytree, byte_tokenizer.directory),
            )
        return draft.artifact

    return write
