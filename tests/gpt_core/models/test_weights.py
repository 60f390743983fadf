from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from gpt_core.artifact import to_json_value
from gpt_core.checkpoints import read_description
from gpt_core.config import GPTConfig
from gpt_core.errors import CheckpointError
from gpt_core.files import write_json
from gpt_core.models import (
    GPTClassifier,
    build_model,
    load_classifier,
    load_model,
    load_weights,
    save_weights,
    write_tensors,
)

SHAPE = {"n_layer": 2, "n_head": 2, "n_embd": 8, "vocab_size": 13, "context_length": 6}
CONFIG = GPTConfig(**SHAPE)


def checkpoint(directory: Path, **settings: object) -> Path:
    """A checkpoint directory; ``settings`` go into its config.json."""
    config = settings.get("model", CONFIG)
    if isinstance(config, GPTConfig):
        save_weights(build_model(config, seed=1), directory / "model.safetensors")
    write_json(
        directory / "config.json",
        {"kind": "pretrained", "step": 0, "model": to_json_value(CONFIG)} | settings,
    )
    return directory


@pytest.mark.parametrize("tied", [True, False])
def test_saved_weights_are_loaded_bit_for_bit(tmp_path: Path, tied: bool) -> None:
    config = GPTConfig(**SHAPE, tied_head=tied)
    saved, loaded = build_model(config, seed=1), build_model(config, seed=2)
    save_weights(saved, tmp_path / "weights")
    load_weights(loaded, tmp_path / "weights")
    for (name, one), two in zip(saved.named_parameters(), loaded.parameters(), strict=True):
        assert torch.equal(one, two), name
    assert ("lm_head.weight" in load_file(tmp_path / "weights")) is not tied
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]


def test_a_checkpoint_is_loaded_in_evaluation_mode(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model = load_model(checkpoint(tmp_path))
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training
    assert torch.equal(model.wte.weight, build_model(CONFIG, seed=1).wte.weight)
    assert read_description(tmp_path).model == CONFIG


def test_a_classifier_is_loaded_with_its_labels(tmp_path: Path) -> None:
    model = GPTClassifier(build_model(CONFIG, seed=1), n_classes=2).eval()
    save_weights(model, tmp_path / "model.safetensors")
    description = {
        "kind": "classifier",
        "step": 1,
        "model": to_json_value(CONFIG),
        "labels": ["ham", "spam"],
    }
    write_json(tmp_path / "config.json", description)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    loaded, labels = load_classifier(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert labels == ["ham", "spam"]
    token_ids, lengths = torch.zeros(2, 5, dtype=torch.long), torch.tensor([5, 3])
    assert torch.equal(loaded(token_ids, lengths), model(token_ids, lengths))
    with pytest.raises(CheckpointError, match="is a classifier, but a language model is needed"):
        load_model(tmp_path)


def test_loading_a_language_model_as_a_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a language model, but a classifier is needed"):
        load_classifier(checkpoint(tmp_path))


def altered(tmp_path: Path, **tensors: torch.Tensor | None) -> Path:
    """Saved weights in which some tensors are replaced, or removed (None)."""
    save_weights(build_model(CONFIG, seed=1), tmp_path / "weights")
    changed = {**load_file(tmp_path / "weights"), **tensors}
    kept = {name: tensor for name, tensor in changed.items() if tensor is not None}
    save_file(kept, tmp_path / "weights")
    return tmp_path / "weights"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"h.1.ln_1.bias": None}, "lacks the tensor h.1.ln_1.bias"),
        ({"wpe.weight": torch.zeros(7, 8)}, r"wpe.weight has shape \(7, 8\).*needs \(6, 8\)"),
        ({"h.2.ln_1.bias": torch.zeros(8)}, "has the tensor h.2.ln_1.bias that this model lacks"),
    ],
)
def test_a_missing_unexpected_or_misshapen_tensor_is_named(
    tmp_path: Path, tensors: dict[str, torch.Tensor | None], message: str
) -> None:
    file = altered(tmp_path, **tensors)
    model = build_model(CONFIG, seed=2)
    before = model.wte.weight.clone()
    with pytest.raises(CheckpointError, match=message):
        load_weights(model, file)
    assert torch.equal(model.wte.weight, before), "nothing is loaded"


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 a pickle in a zip", b"\xff" * 64])
def test_a_file_that_is_not_safetensors_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "weights"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CheckpointError, match="weights cannot be read as safetensors"):
        load_weights(build_model(CONFIG, seed=2), file)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    file = altered(tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_weights(build_model(CONFIG, seed=2), file)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": 3},
        {"model": {"n_layer": 2, "n_layers": 2}},
        {"model": {**SHAPE, "n_head": 3}},
    ],
)
def test_a_config_that_does_not_describe_a_gpt_is_refused(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    with pytest.raises(CheckpointError, match="is not a checkpoint of gptflow"):
        read_description(checkpoint(tmp_path, **settings))


def test_a_directory_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json does not exist"):
        load_model(tmp_path)


def test_tensors_are_written_as_the_safetensors_library_writes_them(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "half": torch.randn(3, generator=generator).half(),
        "brain": torch.randn(5, 1, generator=generator).bfloat16(),
        "b": torch.randn(2, 3, 4, generator=generator),
        "a": torch.randn(4, 6, generator=generator),
        "double": torch.randn(2, generator=generator).double(),
        "nothing": torch.empty(0, 4),
        "\u0643\u062a\u0628": torch.tensor(2.5),
    }
    write_tensors(tensors, tmp_path / "ours", {"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == save(tensors, {"format": "pt"})


def test_a_transposed_tensor_is_written_in_its_own_order(tmp_path: Path) -> None:
    weight = torch.arange(6.0).view(2, 3)
    received: list[tuple[str, int, int | None]] = []
    write_tensors(
        {"w": weight.T}, tmp_path / "file", progress=lambda *event: received.append(event)
    )
    assert torch.equal(load_file(tmp_path / "file")["w"], weight.T)
    assert received == [("tensors", 1, 1)]
