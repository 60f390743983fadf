import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt_core.artifact import verify
from gpt_core.config import GPTConfig
from gpt_core.errors import ConversionError
from gpt_core.files import read_json, write_json
from gpt_core.interop import import_gpt2, read_openai_config
from gpt_core.models import load_model
from gpt_core.tokenizers import ByteTokenizer

BUNDLES = Path(__file__).parent / "tensorflow_bundles"
MADE = runpy.run_path(str(BUNDLES / "make_bundles.py"))


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A small GPT-2 in the form of OpenAI's release, its checkpoint written by TensorFlow."""
    folder = tmp_path / "release"
    folder.mkdir()
    for file in BUNDLES.glob("gpt2.*"):
        shutil.copy(file, folder / file.name.replace("gpt2.", "model.ckpt."))
    write_json(folder / "hparams.json", MADE["GPT2"])
    ByteTokenizer().save(folder / "tokenizer")
    return folder


def in_huggingface_form(folder: Path) -> Path:
    """The same weights as ``transformers`` would save them, by hand."""
    names = {"g": "weight", "b": "bias", "w": "weight", "wte": "wte.weight", "wpe": "wpe.weight"}
    tensors = {}
    for name, shape in MADE["gpt2_shapes"]().items():
        *path, last = name.removeprefix("model/").split("/")
        path = [f"h.{part[1:]}" if part[0] == "h" else part for part in path]
        values = MADE["values_of"](name, shape)
        tensors[".".join([*path, names[last]])] = torch.from_numpy(
            values[0] if last == "w" else values
        )
    save_file(tensors, folder / "model.safetensors")
    hparams = MADE["GPT2"]
    settings = {"model_type": "gpt2", "n_positions": 10, "vocab_size": hparams["n_vocab"]}
    settings |= {name: hparams[name] for name in ("n_layer", "n_head", "n_embd")}
    write_json(folder / "config.json", settings)
    ByteTokenizer().save(folder / "tokenizer")
    return folder


def test_both_formats_of_the_same_weights_give_the_same_bytes(
    release: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    from_openai = import_gpt2(release, tmp_path / "one")
    from_huggingface = import_gpt2(in_huggingface_form(tmp_path / "other"), tmp_path / "two")
    verify(from_openai)
    for name in ("model.safetensors", "config.json"):
        one, two = ((a.directory / name).read_bytes() for a in (from_openai, from_huggingface))
        assert one == two, name


def test_a_linear_weight_is_transposed_and_loses_its_first_dimension(
    release: Path, tmp_path: Path
) -> None:
    imported = import_gpt2(release, tmp_path / "out")
    tensors = load_file(imported.directory / "model.safetensors")
    expected = MADE["values_of"]("model/h1/mlp/c_fc/w", (1, 8, 32))[0].T
    np.testing.assert_array_equal(tensors["h.1.mlp.c_fc.weight"].numpy(), expected)
    model = load_model(imported.directory)
    assert model.config == GPTConfig(
        n_layer=2, n_head=2, n_embd=8, vocab_size=257, context_length=10
    )
    assert model(torch.zeros(1, 10, dtype=torch.long)).isfinite().all()


def test_the_released_hparams_are_those_of_124m(shared_data: Path) -> None:
    assert read_openai_config(shared_data / "gpt2") == GPTConfig(vocab_size=50_257)


def test_the_released_folder_without_its_data_file_says_which_is_missing(
    shared_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=r"model\.ckpt\.data-00000-of-00001 does not exist"):
        import_gpt2(shared_data / "gpt2", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_layer": 3}, "lacks the tensor model/h2/ln_1/g"),
        ({"n_layer": 1}, "has a tensor model/h1/attn/c_attn/b that GPT-2 does not have"),
        ({"n_ctx": 12}, r"wpe.weight has shape \(10, 8\).*needs \(12, 8\)"),
        ({"n_ctx": "ten"}, r"hparams\.json: n_ctx must be a number, got 'ten'"),
        ({"n_head": 3}, r"hparams\.json does not describe a GPT-2: n_embd \(8\)"),
        ({"n_vocab": 300}, r"hparams\.json: the model has 300 tokens.*has 257"),
    ],
)
def test_settings_that_do_not_fit_the_tensors_are_named(
    release: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    file = release / "hparams.json"
    write_json(file, {**read_json(file), **settings})
    with pytest.raises(ConversionError, match=message):
        import_gpt2(release, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_hparams_that_are_no_settings_are_refused(release: Path, tmp_path: Path) -> None:
    for content, message in (("[1]", "should be a JSON object"), ("{", "is not valid JSON")):
        (release / "hparams.json").write_text(content)
        with pytest.raises(ConversionError, match=message):
            import_gpt2(release, tmp_path / "out")


def test_a_folder_with_no_or_two_checkpoints_is_refused(release: Path, tmp_path: Path) -> None:
    shutil.copy(release / "model.ckpt.index", release / "other.ckpt.index")
    with pytest.raises(ConversionError, match=r"found model\.ckpt\.index, other\.ckpt\.index"):
        import_gpt2(release, tmp_path / "out")
    for file in release.glob("*.index"):
        file.unlink()
    with pytest.raises(ConversionError, match=r"one TensorFlow checkpoint.*found none"):
        import_gpt2(release, tmp_path / "out")
