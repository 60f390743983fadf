from pathlib import Path

import pytest

from gpt_core.artifact import to_json_value
from gpt_core.config import GPTConfig
from gpt_core.errors import CheckpointError, ConfigError
from gpt_core.files import write_json
from gpt_core.models import (
    GPT,
    GPTClassifier,
    build_model,
    classifier_shapes,
    load_model,
    parameter_shapes,
    save_weights,
)

SHAPE = {"n_layer": 2, "n_head": 2, "n_embd": 8, "vocab_size": 13, "context_length": 6}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_the_shapes_are_those_of_the_model(bias: bool, tied: bool) -> None:
    config = GPTConfig(**SHAPE, bias=bias, tied_head=tied)
    model = GPT(config)
    expected = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert dict(parameter_shapes(config)) == expected
    classifier = GPTClassifier(model, 3)
    expected = {name: tuple(weight.shape) for name, weight in classifier.named_parameters()}
    assert dict(classifier_shapes(config, 3)) == expected


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_layer": 9_999}, "lacks the tensor h.2.ln_1.weight"),
        ({"n_embd": 2**20}, "wte.weight has shape"),
        ({"vocab_size": 2**24}, "wte.weight has shape"),
        ({"context_length": 2**24}, "wpe.weight has shape"),
    ],
)
def test_a_model_larger_than_its_weights_file_is_not_built(
    tmp_path: Path, changed: dict[str, int], message: str
) -> None:
    save_weights(build_model(GPTConfig(**SHAPE), seed=1), tmp_path / "model.safetensors")
    model = to_json_value(GPTConfig(**(SHAPE | changed)))
    write_json(tmp_path / "config.json", {"kind": "pretrained", "step": 0, "model": model})
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path)


@pytest.mark.parametrize("changed", [{"n_layer": 10_000, "n_embd": 2**16}, {"n_embd": 2**20}])
def test_a_model_larger_than_the_memory_is_not_built(changed: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"parameters, which take .* GiB of this machine's"):
        build_model(GPTConfig(**(SHAPE | changed)))
