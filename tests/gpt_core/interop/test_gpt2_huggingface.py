"""The shape and the tensors of a release in Hugging Face's format."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpt_core.errors import ConversionError
from gpt_core.files import read_json, write_json
from gpt_core.interop import import_gpt2
from gpt_core.models import load_model

Tensors = dict[str, Tensor]


def alter_settings(release: Path, **settings: Any) -> None:
    file = release / "config.json"
    write_json(file, {**read_json(file), **settings})


def alter_tensors(release: Path, change: Callable[[Tensors], Tensors]) -> None:
    file = release / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    save_file({name: t.contiguous() for name, t in change(tensors).items()}, file)


def test_prefix_masks_and_a_repeated_tied_head_do_not_matter(release: Path, tmp_path: Path) -> None:
    expected = load_model(import_gpt2(release, tmp_path / "one").directory).state_dict()

    def as_others_save_it(tensors: Tensors) -> Tensors:
        bare = {name.removeprefix("transformer."): t for name, t in tensors.items()}
        bare["lm_head.weight"] = bare["wte.weight"].clone()
        for layer in range(2):
            bare[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 10, 10).tril()
            bare[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
        return bare

    alter_tensors(release, as_others_save_it)
    (release / "hparams.json").write_text("{}")  # OpenAI's form, which config.json precedes
    found = load_model(import_gpt2(release, tmp_path / "two").directory).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_half_precision_weights_become_single_precision(release: Path, tmp_path: Path) -> None:
    alter_tensors(release, lambda tensors: {name: t.half() for name, t in tensors.items()})
    model = load_model(import_gpt2(release, tmp_path / "out").directory)
    assert model.wte.weight.dtype == torch.float32
    half = load_file(release / "model.safetensors")["transformer.wte.weight"]
    assert torch.equal(model.wte.weight, half.float())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation_function": "relu"}, "activation_function='relu' is another architecture"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ({"scale_attn_weights": False}, "scale_attn_weights=False"),
        ({"add_cross_attention": True}, "add_cross_attention=True"),
        ({"reorder_and_upcast_attn": True}, "reorder_and_upcast_attn=True"),
        ({"model_type": "llama"}, "model_type must be 'gpt2', not 'llama'"),
        ({"n_inner": 20}, r"n_inner=20 must be 4 × n_embd \(32\)"),
        ({"n_layer": "two"}, "n_layer must be a number, got 'two'"),
        ({"n_positions": None}, "n_positions must be a number, got None"),
        ({"n_head": 3}, r"does not describe a GPT-2: n_embd \(8\) must be a multiple of n_head"),
        ({"vocab_size": 300}, "the model has 300 tokens, but the vocabulary beside it has 257"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(
    release: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    alter_settings(release, **settings)
    with pytest.raises(ConversionError, match=message) as error:
        import_gpt2(release, tmp_path / "out")
    assert "config.json" in str(error.value)
    assert not (tmp_path / "out").exists()


def without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {key: t for key, t in tensors.items() if key != f"transformer.{name}"}


def with_(name: str, tensor: Tensor) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, name: tensor}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("h.1.mlp.c_fc.weight"), "lacks the tensor h.1.mlp.c_fc.weight"),
        (
            with_("transformer.h.1.ln_1.bias", torch.tensor([0.0] * 7 + [float("nan")])),
            "h.1.ln_1.bias holds NaN or infinite numbers",
        ),
        (
            with_("transformer.h.0.ln_1.bias", torch.tensor([0.0] * 7 + [float("-inf")])),
            "h.0.ln_1.bias holds NaN or infinite numbers",
        ),
        (
            with_("transformer.h.0.attn.c_attn.weight", torch.zeros(24, 8)),
            r"h.0.attn.c_attn.weight has shape \(24, 8\).*needs \(8, 24\)",
        ),
        (with_("transformer.h.2.ln_1.weight", torch.ones(8)), "h.2.ln_1.weight that GPT-2 does"),
        (with_("score.weight", torch.ones(8)), "has a tensor score.weight that GPT-2 does not"),
        (with_("wte.weight", torch.ones(257, 8)), "wte.weight a second time"),
        (with_("lm_head.weight", torch.ones(257, 8)), "lm_head.weight differs from wte.weight"),
        (
            with_("transformer.ln_f.bias", torch.ones(8, dtype=torch.int32)),
            "ln_f.bias holds torch.int32",
        ),
    ],
)
def test_a_missing_unexpected_or_misshapen_tensor_is_named(
    release: Path, tmp_path: Path, change: Callable[[Tensors], Tensors], message: str
) -> None:
    alter_tensors(release, change)
    with pytest.raises(ConversionError, match=message) as error:
        import_gpt2(release, tmp_path / "out")
    assert "model.safetensors" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_an_untied_model_must_have_its_head(release: Path, tmp_path: Path) -> None:
    alter_settings(release, tie_word_embeddings=False)
    with pytest.raises(ConversionError, match=r"lacks the tensor lm_head\.weight"):
        import_gpt2(release, tmp_path / "out")
