"""A checkpoint of ours to send out and bring back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact, to_json_value
from gpt_core.config import GPTConfig
from gpt_core.files import write_json
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
            save_weights(model, draft.directory / "model.safetensors")
            description = {"kind": "pretrained", "step": 3, "model": to_json_value(model.config)}
            write_json(draft.directory / "config.json", description)
            ByteTokenizer().save(draft.directory / "tokenizer")
        return draft.artifact

    return make
