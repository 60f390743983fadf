"""Tuning a model on pairs of answers."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gpt_core.artifact import Artifact, verify
from gpt_core.checkpoints import read_description
from gpt_core.config import GPTConfig, LoRAConfig, PreferenceConfig
from gpt_core.errors import DataError
from gpt_core.finetuning import finetune_preferences
from gpt_core.finetuning.contamination import read_seen
from gpt_core.generation import template_of
from gpt_core.models import build_model, load_adapted, load_model

CONFIG = PreferenceConfig(
    template="short", epochs=3, learning_rate=2e-3, max_new_tokens=3, answers=4, beta=0.3
)


@pytest.fixture(scope="module")
def checkpoint(byte_tokenizer: Artifact, write_checkpoint: Callable[..., Artifact]) -> Artifact:
    shape = GPTConfig(n_layer=1, n_head=2, n_embd=32, vocab_size=257, context_length=96)
    return write_checkpoint(build_model(shape, seed=11), byte_tokenizer, kind="imported")


@pytest.fixture(scope="module")
def pairs(register: Callable[[str, str], Artifact]) -> Artifact:
    """The better answer is always the same word."""
    rows = [{"prompt": f"Say {i}.", "chosen": "yes", "rejected": f"no {i}"} for i in range(60)]
    return register("pairs.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.mark.parametrize("rank", [0, 4])
def test_better_answers_gain_on_worse_ones(
    checkpoint: Artifact, pairs: Artifact, out_dir: Path, recorder: Any, rank: int
) -> None:
    lora = LoRAConfig(rank=rank, merge=False)
    rate = CONFIG.learning_rate if rank == 0 else 2e-2
    config = replace(CONFIG, learning_rate=rate)
    tuned = finetune_preferences(checkpoint, pairs, config, lora, out_dir, callbacks=[recorder])
    verify(tuned)
    metrics = tuned.metrics()
    assert metrics["test_reward_accuracy"] == 1.0
    assert metrics["test_reward_margin"] > 0.5
    assert metrics["test_loss"] < 0.6
    assert metrics["test_likelier"] >= metrics["test_likelier_before"]
    counts = [metrics[f"{name}_examples"] for name in ("train", "validation", "test")]
    assert counts == [48, 6, 6]
    rows = pq.read_table(tuned.directory / "answers.parquet").to_pylist()
    assert len(rows) == 4
    assert all(row["before"] != row["after"] for row in rows)
    assert [text for _, text in recorder.samples] == [row["after"] for row in rows[:3]]
    assert read_description(tuned.directory).template == "short"
    assert (tuned.directory / "model.safetensors").exists() == (rank == 0)
    if rank:
        model = load_adapted(checkpoint.directory, tuned.directory)
        assert template_of(checkpoint.directory, tuned.directory) == "short"
        assert model.config == load_model(tuned.directory).config


def test_prompts_that_a_model_was_tuned_on_are_counted(
    checkpoint: Artifact, pairs: Artifact, tmp_path: Path, recorder: Any
) -> None:
    config = replace(CONFIG, epochs=1, answers=0)
    first = finetune_preferences(checkpoint, pairs, config, LoRAConfig(), tmp_path / "first")
    assert len(read_seen(first.directory)) == 48, "the prompts of the training part"
    assert "test_seen" not in first.metrics()
    again = replace(config, seed=config.seed + 1)
    second = finetune_preferences(
        first, pairs, again, LoRAConfig(), tmp_path / "second", callbacks=[recorder]
    )
    assert second.metrics()["test_seen"] > 0, "another seed tests what was trained on"
    assert "of the test part were in what the model was fine-tuned on" in " ".join(recorder.notices)


def test_the_same_seed_gives_the_same_bytes(
    checkpoint: Artifact, pairs: Artifact, tmp_path: Path
) -> None:
    config = replace(CONFIG, epochs=1)
    first, second = (
        finetune_preferences(checkpoint, pairs, config, LoRAConfig(), tmp_path / name)
        for name in ("first", "second")
    )
    assert first.fingerprint == second.fingerprint


def test_the_template_is_the_models_unless_one_is_set(
    checkpoint: Artifact, pairs: Artifact, tmp_path: Path
) -> None:
    config = replace(CONFIG, epochs=1, answers=0)
    tuned = finetune_preferences(checkpoint, pairs, config, LoRAConfig(), tmp_path / "first")
    again = finetune_preferences(
        tuned, pairs, replace(config, template=None), LoRAConfig(), tmp_path / "second"
    )
    assert read_description(again.directory).template == "short"


def test_pairs_that_do_not_fit_are_counted_or_refused(
    checkpoint: Artifact, register: Callable[[str, str], Artifact], tmp_path: Path, recorder: Any
) -> None:
    rows = [
        {"prompt": f"Say {i}.", "chosen": "yes" * (1 + 30 * (i % 2)), "rejected": "no"}
        for i in range(60)
    ]
    source = register("pairs.json", json.dumps(rows))
    config = replace(CONFIG, epochs=1)
    tuned = finetune_preferences(
        checkpoint, source, config, LoRAConfig(), tmp_path / "tuned", callbacks=[recorder]
    )
    assert tuned.metrics()["left_out_examples"] == 30
    assert any("30 of 60 pairs are left out" in notice for notice in recorder.notices)
    with pytest.raises(DataError, match="no pair fits into 8 tokens"):
        finetune_preferences(
            checkpoint, source, replace(config, max_tokens=8), LoRAConfig(), tmp_path / "none"
        )
