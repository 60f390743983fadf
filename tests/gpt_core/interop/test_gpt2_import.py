import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from gpt_core.artifact import Artifact, verify
from gpt_core.checkpoints import read_description
from gpt_core.config import DecodingConfig, GPTConfig
from gpt_core.errors import ConversionError, DataError
from gpt_core.files import sha256_file, write_json
from gpt_core.generation import generate
from gpt_core.interop import export_huggingface, import_gpt2, read_gpt2_config, read_gpt2_tensors
from gpt_core.models import GPT, count_parameters, load_model
from gpt_core.tokenizers import load_tokenizer

MakeCheckpoint = Callable[..., Artifact]
Tensors = dict[str, Tensor]


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


def test_progress_counts_the_tensors(release: Path, tmp_path: Path) -> None:
    events: list[tuple[str, int, int | None]] = []
    import_gpt2(release, tmp_path / "out", progress=lambda *event: events.append(event))
    assert events == [("tensors", done, 28) for done in range(1, 29)]


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
