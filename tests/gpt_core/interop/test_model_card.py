"""A release says what it is, how good it is and what it was made from."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import CheckpointDescription, write_checkpoint
from gpt_core.config import GPTConfig
from gpt_core.errors import ConversionError
from gpt_core.interop import export_huggingface
from gpt_core.interop.model_card import model_card
from gpt_core.models import build_model, save_weights
from gpt_core.tokenizers import ByteTokenizer, train_bpe


def test_a_card_has_the_shape_the_metrics_and_the_parents(
    make_checkpoint: Callable[..., Artifact], tmp_path: Path
) -> None:
    parent = make_checkpoint()
    config = GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=257, context_length=1024)
    model = build_model(config, seed=0)
    with new_artifact(tmp_path / "tuned", kind="checkpoint", parents=[parent]) as draft:
        write_checkpoint(
            draft,
            CheckpointDescription(kind="instruction", step=3, model=config, template="short"),
            save_weights=partial(save_weights, model),
            save_tokenizer=ByteTokenizer().save,
        )
        draft.metrics["rouge_l"] = 0.25
    release = export_huggingface(draft.artifact, tmp_path / "release")
    card = (release.directory / "README.md").read_text(encoding="utf-8")
    assert card == model_card(draft.artifact, config, ByteTokenizer())
    _, header, body = card.split("---\n", 2)
    assert "pipeline_tag: text-generation" in header
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    for line in (
        f"| parameters | {n_parameters:,} |",
        "| context | 1,024 tokens |",
        "| vocabulary | 257 tokens (byte) |",
        "| rouge_l | 0.25 |",
        f"fingerprint `{parent.fingerprint}`",
        f"from the instruction checkpoint `tuned`, fingerprint `{draft.artifact.fingerprint}`",
    ):
        assert line in body


def test_a_card_leaves_out_what_there_is_not(make_checkpoint: Callable[..., Artifact]) -> None:
    checkpoint = make_checkpoint()
    config = GPTConfig(n_layer=2, n_head=2, n_embd=8, vocab_size=257, context_length=10)
    card = model_card(checkpoint, config, ByteTokenizer())
    assert "| layers | 2 |" in card
    assert "metric" not in card
    assert "Made from" not in card


def test_a_card_names_texts_that_the_release_cuts_otherwise(
    make_checkpoint: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = GPTConfig(n_layer=2, n_head=2, n_embd=8, vocab_size=257, context_length=10)

    def card_of(pattern: str) -> str:
        return model_card(make_checkpoint(), config, train_bpe(["a b"], 257, pattern))

    said = "cuts otherwise by `tokenizer.pattern`"
    assert said not in card_of("gpt2")
    assert said not in card_of(r" ?\w+")
    assert f"{said}, such as \"It's 12,345.67" in card_of(r"^\s+|\S+|\s")
    with pytest.raises(ConversionError, match=r"cannot be released.*undefined group option"):
        card_of("(?s:.)+?")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert f"{said}: not compared" in card_of(r" ?\w+")


def test_a_card_does_not_depend_on_the_clock(make_checkpoint: Callable[..., Artifact]) -> None:
    checkpoint = make_checkpoint()
    config = GPTConfig(n_layer=2, n_head=2, n_embd=8, vocab_size=257, context_length=10)
    manifest = checkpoint.directory / "manifest.json"
    content = json.loads(manifest.read_text())
    content["metrics"] |= {"train_seconds": 3.5, "tokens_per_second": 7.5, "loss": 1.5}
    manifest.write_text(json.dumps(content))
    card = model_card(checkpoint, config, ByteTokenizer())
    assert "| loss | 1.5 |" in card
    assert "second" not in card
