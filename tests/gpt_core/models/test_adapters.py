"""Adapters are loaded, swapped, merged and taken out again; what does not fit is one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.checkpoints import CheckpointDescription
from gpt_core.config import GPTConfig, LoRAConfig, LoRAVariant
from gpt_core.errors import CheckpointError
from gpt_core.finetuning.lora import TrainedAdapter, add_adapters, merge_adapters
from gpt_core.models import (
    AdapterDescription,
    Adapters,
    build_model,
    find_base,
    holds_only_adapter,
    load_model,
    read_adapter,
    weights_fingerprint,
    write_adapter,
)

SHAPE = GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=257, context_length=12)
TOKEN_IDS = torch.arange(24).view(2, 12)


@pytest.fixture(scope="module")
def base(byte_tokenizer: Artifact, write_checkpoint: Callable[..., Artifact]) -> Artifact:
    return write_checkpoint(build_model(SHAPE, seed=4), byte_tokenizer)


def train(shape: GPTConfig = SHAPE, variant: LoRAVariant = "lora") -> TrainedAdapter:
    """An adapter with random weights."""
    adapted = add_adapters(build_model(shape, seed=4), LoRAConfig(rank=2, variant=variant), [0, 1])
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    trained = merge_adapters(adapted)[1]
    assert trained is not None
    return trained


def save(trained: TrainedAdapter, directory: Path, base: str, base_path: str | None = None) -> Path:
    directory.parent.mkdir(exist_ok=True)
    shown = CheckpointDescription(kind="pretrained", step=1, model=SHAPE)
    description = AdapterDescription(base=base, checkpoint=shown, base_path=base_path)
    write_adapter(directory, trained.settings, trained.tensors, description)
    return directory


@torch.inference_mode()
@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_two_adapters_are_swapped_on_one_model(
    base: Artifact, tmp_path: Path, variant: LoRAVariant
) -> None:
    first = save(train(variant=variant), tmp_path / "first", weights_fingerprint(base))
    second = save(train(), tmp_path / "second", weights_fingerprint(base))
    model = load_model(base.directory)
    alone = model(TOKEN_IDS)
    adapters = Adapters(model, weights_fingerprint(base))
    adapters.load(first, "first")
    with_first = model(TOKEN_IDS)
    adapters.load(second, "second")
    with_second = model(TOKEN_IDS)
    assert adapters.names == ["first", "second"]
    assert (with_first - alone).abs().max() > 0.1
    assert (with_second - with_first).abs().max() > 0.1
    for name, expected in [("first", with_first), (None, alone), ("second", with_second)]:
        adapters.use(name)
        assert torch.equal(model(TOKEN_IDS), expected)
    adapters.load(first, "second")  # in place of the one of this name
    assert torch.equal(model(TOKEN_IDS), with_first)
    adapters.merge()
    torch.testing.assert_close(model(TOKEN_IDS), with_first, atol=1e-4, rtol=1e-4)
    adapters.unmerge()
    torch.testing.assert_close(model(TOKEN_IDS), with_first, atol=1e-4, rtol=1e-4)
    adapters.use(None)
    torch.testing.assert_close(model(TOKEN_IDS), alone, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="no adapter 'third' is loaded; there are first, second"):
        adapters.use("third")
    adapters.use("first")
    adapters.merge_and_remove()
    assert (
        dict(model.named_parameters()).keys() == dict(build_model(SHAPE).named_parameters()).keys()
    )
    torch.testing.assert_close(model(TOKEN_IDS), with_first, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_the_only_adapter_is_replaced_and_removed(base: Artifact, tmp_path: Path) -> None:
    model = load_model(base.directory)
    alone = model(TOKEN_IDS)
    adapters = Adapters(model, weights_fingerprint(base))
    for name in ("first", "second"):
        adapters.load(save(train(), tmp_path / name, weights_fingerprint(base)))
        assert (model(TOKEN_IDS) - alone).abs().max() > 0.1
    adapters.remove("default")
    assert torch.equal(model(TOKEN_IDS), alone)
    assert adapters.names == []


def test_loading_draws_nothing_from_the_global_generator(base: Artifact, tmp_path: Path) -> None:
    saved = save(train(), tmp_path / "adapter", weights_fingerprint(base))
    model = load_model(base.directory)
    before = torch.random.get_rng_state()
    Adapters(model, weights_fingerprint(base)).load(saved)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_adapter_of_another_model_is_refused(base: Artifact, tmp_path: Path) -> None:
    saved = save(train(), tmp_path / "adapter", "0" * 32)
    sentence = f"belongs to weights with the fingerprint {'0' * 32}, but this model has"
    with pytest.raises(CheckpointError, match=sentence):
        Adapters(load_model(base.directory), weights_fingerprint(base)).load(saved)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ({"n_layer": 1}, r"lacks"),
        ({"n_embd": 32}, r"lora_A.weight has shape \(2, 32\), this model needs \(2, 16\)"),
        ({"n_layer": 3}, r"changes h\.2\.attn\.c_attn, which is no linear layer of this model"),
    ],
)  # fmt: skip
def test_an_adapter_of_other_shapes_is_refused(
    base: Artifact, tmp_path: Path, shape: dict[str, int], sentence: str
) -> None:
    other = GPTConfig(**{**vars_of(SHAPE), **shape})
    config = LoRAConfig(rank=2)
    adapted = add_adapters(build_model(other, seed=1), config, range(other.n_layer))
    trained = merge_adapters(adapted)[1]
    assert trained is not None
    saved = save(trained, tmp_path / "adapter", weights_fingerprint(base))
    model = load_model(base.directory)
    if shape == {"n_layer": 1}:  # fewer adapted layers are fine
        Adapters(model, weights_fingerprint(base)).load(saved)
        return
    with pytest.raises(CheckpointError, match=sentence):
        Adapters(model, weights_fingerprint(base)).load(saved)
    assert (
        dict(model.named_parameters()).keys() == dict(build_model(SHAPE).named_parameters()).keys()
    )


def vars_of(shape: GPTConfig) -> dict[str, int]:
    return {
        name: getattr(shape, name)
        for name in ("n_layer", "n_head", "n_embd", "vocab_size", "context_length")
    }


def change_settings(**changes: object) -> Callable[[Path], None]:
    def change(adapter: Path) -> None:
        file = adapter / "adapter_config.json"
        settings = json.loads(file.read_text(encoding="utf-8")) | changes
        file.write_text(json.dumps(settings), encoding="utf-8")

    return change


def write(name: str, content: str) -> Callable[[Path], None]:
    def change(adapter: Path) -> None:
        (adapter / name).write_text(content, encoding="utf-8")

    return change


MISTAKES = [
    (lambda a: (a / "adapter_config.json").unlink(), "is no adapter: neither it nor adapter in it"),
    (lambda a: (a / "adapter_model.safetensors").unlink(), r"adapter_model\.safetensors cannot be"),
    (write("adapter_model.safetensors", "no"), r"adapter_model\.safetensors cannot be read"),
    (write("adapter_config.json", "no"), r"adapter_config\.json cannot be read"),
    (write("gptflow.json", "[]"), r"gptflow\.json does not describe an adapter"),
    (write("gptflow.json", "{}"), "the setting base is missing"),
    (change_settings(peft_type="IA3"), "peft_type must be 'LORA', got 'IA3'"),
    (change_settings(r=0), "r must be a number above 0, got 0"),
    (change_settings(lora_alpha="x"), "lora_alpha must be a number above 0, got 'x'"),
    (change_settings(bias="all"), "bias is not supported by gptflow"),
    (change_settings(use_qalora=True), "use_qalora is not supported by gptflow"),
    (change_settings(use_dora=True), "lacks the tensor h.0.attn.c_attn.lora_magnitude_vector"),
]


@pytest.mark.parametrize(("spoil", "sentence"), MISTAKES)
def test_a_damaged_adapter_is_one_sentence(
    base: Artifact, tmp_path: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    saved = save(train(), tmp_path / "adapter", weights_fingerprint(base))
    spoil(saved)
    with pytest.raises(CheckpointError, match=sentence):
        Adapters(load_model(base.directory), weights_fingerprint(base)).load(saved)


def test_the_model_of_an_adapter_is_found_where_both_were_moved(
    base: Artifact, tmp_path: Path
) -> None:
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    shutil.copytree(base.directory, checkpoints / "run" / "step-00000001")
    only = checkpoints / "tuned"
    only.mkdir()
    save(train(), only / "adapter", weights_fingerprint(base), "../elsewhere")
    assert holds_only_adapter(only)
    assert find_base(only).directory == checkpoints / "run" / "step-00000001"
    shutil.rmtree(checkpoints / "run")
    with pytest.raises(CheckpointError, match=r"is neither in \.\./elsewhere nor among the"):
        find_base(only)


def test_an_adapter_knows_its_number_of_parameters(base: Artifact, tmp_path: Path) -> None:
    saved = save(train(), tmp_path / "adapter", weights_fingerprint(base))
    assert read_adapter(saved).n_parameters == 2 * 2 * 16 * 16
