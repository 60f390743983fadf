import base64
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpt_core.artifact import Artifact, verify
from gpt_core.checkpoints import read_description
from gpt_core.config import DecodingConfig, GPTConfig
from gpt_core.errors import ConversionError, DataError
from gpt_core.files import read_json, sha256_file, write_json
from gpt_core.generation import generate
from gpt_core.interop import export_huggingface, import_gpt2, read_gpt2_config, read_gpt2_tensors
from gpt_core.models import GPT, count_parameters, load_model
from gpt_core.tokenizers import load_tokenizer

MakeCheckpoint = Callable[..., Artifact]
Tensors = dict[str, Tensor]


@pytest.fixture
def release(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> Path:
    """A release in the Hugging Face form."""
    return export_huggingface(make_checkpoint(), tmp_path / "release").directory


def alter_settings(release: Path, **settings: Any) -> None:
    file = release / "config.json"
    write_json(file, {**read_json(file), **settings})


def alter_tensors(release: Path, change: Callable[[Tensors], Tensors]) -> None:
    file = release / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    save_file({name: t.contiguous() for name, t in change(tensors).items()}, file)


def test_export_and_import_round_trip_bit_for_bit(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    for tied in (True, False):
        checkpoint = make_checkpoint(tied_head=tied, layer_norm_epsilon=1e-3)
        exported = export_huggingface(checkpoint, tmp_path / "release")
        imported = import_gpt2(exported.directory, tmp_path / "imported")
        verify(imported)
        before, after = load_model(checkpoint.directory), load_model(imported.directory)
        assert after.config == before.config
        for (name, one), two in zip(before.named_parameters(), after.parameters(), strict=True):
            assert torch.equal(one, two), name
        tokenizer = load_tokenizer(imported.directory / "tokenizer")
        assert tokenizer.decode(tokenizer.encode("ab\u0643")) == "ab\u0643"
        description = read_description(imported.directory)
        assert (description.kind, description.step) == ("imported", 0)
        weights = exported.directory / "model.safetensors"
        assert imported.manifest().info["sources"] == {weights.name: sha256_file(weights)}
        assert imported.metrics() == {"parameters": sum(p.numel() for p in after.parameters())}


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


def test_progress_counts_the_tensors(release: Path, tmp_path: Path) -> None:
    events: list[tuple[str, int, int | None]] = []
    import_gpt2(release, tmp_path / "out", progress=lambda *event: events.append(event))
    assert events == [("tensors", done, 28) for done in range(1, 29)]


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"wte.weight": [1.0]}), "model.safetensors is a pickle"),
        (b"PK\x03\x04" + b"\x00" * 40, "model.safetensors is a pickle"),
        (b"", "model.safetensors cannot be read as safetensors"),
        (b"\xff" * 40, "model.safetensors cannot be read as safetensors"),
    ],
)
def test_weights_that_are_not_safetensors_are_refused(
    release: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    (release / "model.safetensors").write_bytes(content)
    with pytest.raises(ConversionError, match=message):
        import_gpt2(release, tmp_path / "out")


def test_weights_cut_short_are_refused(release: Path, tmp_path: Path) -> None:
    file = release / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ConversionError, match="cannot be read as safetensors"):
        import_gpt2(release, tmp_path / "out")


def in_shards(release: Path) -> None:
    """The weights in two files with an index, in Hugging Face's form."""
    tensors = load_file(release / "model.safetensors")
    (release / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"first.safetensors": names[::2], "second.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, release / file)
    weight_map = {name: file for file, part in parts.items() for name in part}
    write_json(release / "model.safetensors.index.json", {"weight_map": weight_map})


def test_weights_in_shards_are_the_same_weights(release: Path, tmp_path: Path) -> None:
    whole = import_gpt2(release, tmp_path / "whole")
    in_shards(release)
    parts = import_gpt2(release, tmp_path / "parts")
    files = [made.directory / "model.safetensors" for made in (whole, parts)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("third.safetensors", "names third.safetensors, which is not there"),
        ("../model.safetensors", "names '../model.safetensors', which is no file beside it"),
        (3, "names 3, which is no file beside it"),
    ],
)
def test_an_index_of_anything_but_files_beside_it_is_refused(
    release: Path, tmp_path: Path, place: str | int, message: str
) -> None:
    (release / "model.safetensors").unlink()
    index = release / "model.safetensors.index.json"
    write_json(index, {"weight_map": {"wte.weight": place}})
    with pytest.raises(ConversionError, match=message):
        import_gpt2(release, tmp_path / "out")


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": []}', '{"weight_map": {}}'])
def test_an_index_without_shards_is_refused(release: Path, tmp_path: Path, content: str) -> None:
    (release / "model.safetensors").unlink()
    (release / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ConversionError, match=r"index\.json (is no index|names no file)"):
        import_gpt2(release, tmp_path / "out")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_tensors_in_a_pickle_are_read_with_a_warning(
    release: Path, tmp_path: Path, zipped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    expected = import_gpt2(release, tmp_path / "safe")
    tensors = load_file(release / "model.safetensors")
    (release / "model.safetensors").unlink()
    file = release / "pytorch_model.bin"
    torch.save(tensors, file, _use_new_zipfile_serialization=zipped)
    made = import_gpt2(release, tmp_path / "pickled")
    files = [each.directory / "model.safetensors" for each in (expected, made)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert "nothing but its tensors is read" in caplog.text


class Opened:
    """Records that a pickle ran code when it was opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda trace: {"wte.weight": Opened(trace)}, "holds more than tensors"),
        (lambda trace: [torch.ones(2)], "does not hold tensors by name"),
        (lambda trace: {"a": 3}, "does not hold tensors by name"),
    ],
)
def test_a_pickle_of_anything_else_is_refused_and_runs_nothing(
    release: Path, tmp_path: Path, content: Callable[[Path], object], message: str
) -> None:
    (release / "model.safetensors").unlink()
    torch.save(content(tmp_path / "trace"), release / "pytorch_model.bin")
    with pytest.raises(ConversionError, match=message):
        import_gpt2(release, tmp_path / "out")
    assert not (tmp_path / "trace").exists()


def test_a_release_without_weights_says_what_should_be_there(release: Path, tmp_path: Path) -> None:
    (release / "model.safetensors").unlink()
    with pytest.raises(ConversionError, match=r"has no weights: model\.safetensors or"):
        import_gpt2(release, tmp_path / "out")


def test_a_folder_without_a_release_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"config\.json does not exist.*GPT-2 release"):
        import_gpt2(tmp_path, tmp_path / "out")
    (tmp_path / "config.json").write_text("[1, 2]")
    with pytest.raises(ConversionError, match="model_type must be 'gpt2'"):
        import_gpt2(tmp_path, tmp_path / "out")


def test_a_release_without_a_vocabulary_says_what_to_add(release: Path, tmp_path: Path) -> None:
    for file in (release / "tokenizer").iterdir():
        file.unlink()
    (release / "tokenizer").rmdir()
    (release / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"neither encoder\.json nor vocab\.json"):
        import_gpt2(release, tmp_path / "out")


# -- a small model that another project trained -----------------------------------------------


def decoded(encoded: dict[str, dict[str, Any]]) -> Tensors:
    return {
        name: torch.frombuffer(bytearray(base64.b64decode(t["data"])), dtype=torch.float32).view(
            t["shape"]
        )
        for name, t in encoded.items()
        if name != "config"
    }


@pytest.fixture
def sorter(shared_data: Path, tmp_path: Path) -> tuple[GPT, Tensors]:
    """``gpt_nano_sort`` as a release, imported; and its recorded activations."""
    folder = shared_data / "gpt2" / "gpt_nano_sort"
    model, partials = (
        decoded(json.loads(next(folder.glob(f"*{kind}.json")).read_text(encoding="utf-8")))
        for kind in ("-model", "-partials")
    )
    linear = (".c_attn.weight", ".c_proj.weight", ".c_fc.weight")
    tensors = {
        name: (t.T if name.endswith(linear) else t).contiguous() for name, t in model.items()
    }
    save_file(tensors, tmp_path / "model.safetensors")
    settings = {"model_type": "gpt2", "n_layer": 3, "n_head": 3, "n_embd": 48, "vocab_size": 3}
    settings |= {"n_positions": 11, "tie_word_embeddings": False}
    write_json(tmp_path / "config.json", settings)
    config = read_gpt2_config(tmp_path)
    gpt = GPT(config).eval()
    gpt.load_state_dict(read_gpt2_tensors(tmp_path, config))
    return gpt, partials


def test_a_trained_model_computes_what_was_recorded_of_it(sorter: tuple[GPT, Tensors]) -> None:
    gpt, partials = sorter
    token_ids = partials["idx"].long()
    with torch.inference_mode():
        x = gpt.wte(token_ids) + gpt.wpe.weight
        torch.testing.assert_close(x, partials["x"])
        for index, block in enumerate(gpt.h):
            x = block(x)
            torch.testing.assert_close(x, partials[f"block{index}"], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(gpt(token_ids), partials["lm_head"], atol=1e-5, rtol=0)


def test_a_trained_sorter_sorts(sorter: tuple[GPT, Tensors]) -> None:
    gpt, _ = sorter
    letters = torch.randint(3, (50, 6), generator=torch.Generator().manual_seed(0)).tolist()
    answers = generate(gpt, letters, DecodingConfig(temperature=0.0, max_new_tokens=6))
    wrong = [row for row, answer in zip(letters, answers, strict=True) if answer != sorted(row)]
    assert len(wrong) <= 1, "the model itself is not perfect"


def test_the_shape_of_a_trained_model_is_read_and_its_masks_are_not_parameters(
    sorter: tuple[GPT, Tensors],
) -> None:
    gpt, _ = sorter
    assert gpt.config == GPTConfig(
        n_layer=3, n_head=3, n_embd=48, vocab_size=3, context_length=11, tied_head=False
    )
    n_parameters = sum(parameter.numel() for parameter in gpt.parameters())
    assert n_parameters == count_parameters(gpt.config) == 85_728
