"""The core's own commands verify what they read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.__main__ import main
from gpt_core.artifact import Artifact
from gpt_core.config import GPTConfig
from gpt_core.models import build_model


@pytest.fixture
def checkpoint(write_checkpoint: Callable[..., Artifact], byte_tokenizer: Artifact) -> Artifact:
    shape = {"n_layer": 1, "n_head": 1, "n_embd": 8, "context_length": 16, "vocab_size": 257}
    return write_checkpoint(build_model(GPTConfig(**shape), seed=1), byte_tokenizer)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_generate_verifies_the_checkpoint(
    checkpoint: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["generate", "--checkpoint", checkpoint.path, "generation.max_new_tokens=3", "a"]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("a")
    flip(checkpoint.directory / "model.safetensors")
    assert main(command) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    assert "model.safetensors was altered since it was written" in answer.err


def test_train_verifies_the_shards(
    shards: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "shards"
    for file in shards.directory.rglob("*"):
        if file.is_file():
            target = copy / file.relative_to(shards.directory)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    flip(copy / "tokenizer/tokenizer.json")
    assert main(["train", "--shards", str(copy), "--out", str(tmp_path / "run")]) == 2
    assert "tokenizer.json was altered since it was written" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
