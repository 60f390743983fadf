"""A gptflow checkpoint to export and import again."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import CheckpointDescription, write_checkpoint
from gpt_core.config import GPTConfig
from gpt_core.interop import export_huggingface
from gpt_core.models import build_model, save_weights
from gpt_core.tokenizers import ByteTokenizer

MakeCheckpoint = Callable[..., Artifact]


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> MakeCheckpoint:
    """Gives checkpoints with random weights; settings of the model as keywords."""

    def make(**settings: object) -> Artifact:
        shape = {"n_layer": 2, "n_head": 2, "n_embd": 8, "vocab_size": 257, "context_length": 10}
        model = build_model(GPTConfig(**(shape | settings)), seed=1)
        for parameter in model.parameters():
            parameter.data.add_(0.01)  # so that biases and norms are not all alike
        with new_artifact(tmp_path / "checkpoint", kind="checkpoint") as draft:
            write_checkpoint(
                draft,
                CheckpointDescription(kind="pretrained", step=3, model=model.config),
                save_weights=partial(save_weights, model),
                save_tokenizer=ByteTokenizer().save,
            )
        return draft.artifact

    return make


@pytest.fixture
def release(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> Path:
    """A release in the Hugging Face form."""
    return export_huggingface(make_checkpoint(), tmp_path / "release").directory
