"""A release says what it is, how good it is and what it was made from."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import CheckpointDescription, write_checkpoint
from gpt_core.config import GPTConfig
from gpt_core.interop import export_huggingface
from gpt_core.interop.model_card import model_card
from gpt_core.models import build_model, save_weights
from gpt_core.tokenizers import ByteTokenizer


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
