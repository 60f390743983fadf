"""Our GPT against ``transformers``' GPT-2: logits, greedy text, and files both ways."""

from pathlib import Path
from typing import Any

import pytest
import torch
from releases import T, V, save_release

from gpt_core.artifact import Artifact
from gpt_core.config import DecodingConfig
from gpt_core.generation import generate
from gpt_core.interop import export_huggingface, import_gpt2
from gpt_core.models import load_model
from gpt_core.tokenizers import ByteTokenizer

transformers = pytest.importorskip("transformers")
WITHIN = 1e-4  # of a logit, in float32


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Artifact]:
    theirs = save_release(tmp_path / "theirs", tie_word_embeddings=request.param)
    return theirs, import_gpt2(tmp_path / "theirs", tmp_path / "ours")


def test_an_imported_model_gives_the_same_logits(pair: tuple[Any, Artifact]) -> None:
    theirs, ours = pair[0], load_model(pair[1].directory)
    token_ids = torch.randint(V, (4, T))
    with torch.inference_mode():
        expected = theirs(token_ids).logits
        assert (ours(token_ids) - expected).abs().max() < WITHIN
    assert expected.std() > 0.5, "logits that hardly differ would agree by themselves"


def test_an_imported_model_generates_the_same_text(pair: tuple[Any, Artifact]) -> None:
    theirs, ours = pair[0], load_model(pair[1].directory)
    prompts = [torch.randint(V - 1, (n,)).tolist() for n in (1, 3, 3, 8)]
    decoding = DecodingConfig(temperature=0.0, max_new_tokens=20)
    for prompt, answer in zip(prompts, generate(ours, prompts, decoding), strict=True):
        with torch.inference_mode():
            text = theirs.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=20,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=0,
            )[0].tolist()
        assert answer == text[len(prompt) :]


def test_an_exported_model_opens_in_transformers_bit_for_bit(
    pair: tuple[Any, Artifact], tmp_path: Path
) -> None:
    theirs, checkpoint = pair
    release = export_huggingface(checkpoint, tmp_path / "release")
    opened, report = transformers.GPT2LMHeadModel.from_pretrained(
        release.directory, output_loading_info=True
    )
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    found = opened.state_dict()
    for name, expected in theirs.state_dict().items():
        assert torch.equal(found[name], expected), name
    token_ids = torch.randint(V, (2, T))
    with torch.inference_mode():
        assert torch.equal(opened.eval()(token_ids).logits, theirs(token_ids).logits)


def test_a_body_saved_without_its_head_is_imported_too(tmp_path: Path) -> None:
    theirs = save_release(tmp_path / "whole")
    theirs.transformer.save_pretrained(tmp_path / "body")
    ByteTokenizer().save(tmp_path / "body" / "tokenizer")
    ours = load_model(import_gpt2(tmp_path / "body", tmp_path / "ours").directory)
    token_ids = torch.randint(V, (2, T))
    with torch.inference_mode():
        assert (ours(token_ids) - theirs(token_ids).logits).abs().max() < WITHIN


def test_gradients_agree(pair: tuple[Any, Artifact]) -> None:
    theirs, ours = pair[0], load_model(pair[1].directory)
    token_ids = torch.randint(V, (2, T))
    theirs(token_ids).logits.square().mean().backward()
    ours(token_ids).square().mean().backward()
    for name, parameter in ours.named_parameters():
        other = theirs.get_parameter(name if name == "lm_head.weight" else f"transformer.{name}")
        expected = other.grad if other.shape == parameter.shape else other.grad.T
        if ".c_attn.weight" in name or ".c_proj.weight" in name:
            expected = other.grad.T
        torch.testing.assert_close(
            parameter.grad, expected, atol=1e-4, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
        )
