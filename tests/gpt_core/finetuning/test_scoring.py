"""A fine-tuned model is measured on the test part of any examples."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpt_core.artifact import Artifact
from gpt_core.config import ClassificationConfig, GPTConfig, InstructionConfig, LoRAConfig
from gpt_core.errors import DataError
from gpt_core.finetuning import (
    evaluate_classifier,
    evaluate_instructions,
    finetune_classifier,
    finetune_instructions,
)
from gpt_core.models import build_model
from gpt_core.text import read_example_splits, source_path


def test_a_classifier_has_the_metrics_of_its_own_test_part_again(
    checkpoint: Artifact,
    messages: Artifact,
    register: Callable[..., Artifact],
    tmp_path: Path,
    recorder: Any,
) -> None:
    config = ClassificationConfig(epochs=1, learning_rate=5e-3)
    made = finetune_classifier(checkpoint, messages, config, LoRAConfig(), tmp_path / "made")
    report = evaluate_classifier(made, messages, config, tmp_path / "report")
    found = report.metrics()
    assert {"accuracy", "f1", "f1_positive", "auroc", "ece", "brier"} <= found.keys()
    expected = {name: made.metrics()[f"test_{name}"] for name in found}
    assert found == pytest.approx(expected, abs=1e-5)  # with the temperature of the checkpoint
    other = evaluate_classifier(
        made, messages, replace(config, seed=5), tmp_path / "other", callbacks=[recorder]
    )
    assert other.fingerprint != report.fingerprint
    rows = read_example_splits(source_path(messages), replace(config, seed=5))[0].test
    trained = read_example_splits(source_path(messages), config)[0].train
    both = sum(row.text in {each.text for each in trained} for row in rows)
    assert other.metrics()["test_seen"] >= both > 0, "another seed tests what was trained on"
    assert "texts of the test part were in what the model was fine-tuned on" in recorder.notices[0]
    strange = "".join(
        f"{label}\ttext {label} {n}\n" for n in range(20) for label in ("spam", "strange")
    )
    with pytest.raises(DataError, match="does not know the label 'strange'"):
        evaluate_classifier(made, register("other.tsv", strange), config, tmp_path / "none")


def test_a_follower_has_the_metrics_of_its_own_test_part_again(
    byte_tokenizer: Artifact,
    write_checkpoint: Callable[..., Artifact],
    instructions: Artifact,
    tmp_path: Path,
) -> None:
    shape = GPTConfig(n_layer=1, n_head=2, n_embd=32, vocab_size=257, context_length=96)
    base = write_checkpoint(build_model(shape, seed=11), byte_tokenizer)
    config = InstructionConfig(template="short", epochs=1, max_new_tokens=4, too_long="cut")
    made = finetune_instructions(base, instructions, config, LoRAConfig(), tmp_path / "made")
    asked = replace(config, template="alpaca")  # the model's own template is used
    report = evaluate_instructions(made, instructions, asked, tmp_path / "report")
    metrics = made.metrics()
    assert report.metrics() == {
        name: metrics[name] for name in ("exact_match", "rouge_l", "stop_rate")
    }
