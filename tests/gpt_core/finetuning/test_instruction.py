"""Fine-tuning a language model to follow instructions."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from gpt_core.artifact import Artifact, to_json_value, verify
from gpt_core.config import (
    ClassificationConfig,
    DecodingConfig,
    GPTConfig,
    InstructionConfig,
    LoRAConfig,
)
from gpt_core.data import TEMPLATES, encode_example
from gpt_core.errors import CheckpointError, DataError
from gpt_core.evaluation import exact_match, rouge_l
from gpt_core.files import read_json
from gpt_core.finetuning import finetune_classifier, finetune_instructions
from gpt_core.generation import generate
from gpt_core.interop import export_huggingface, import_gpt2
from gpt_core.models import build_model, load_model
from gpt_core.text import (
    InstructionExample,
    read_instructions,
    source_path,
    split_instructions,
)
from gpt_core.tokenizers import ByteTokenizer, load_tokenizer

CONFIG = InstructionConfig(
    template="short", epochs=2, learning_rate=3e-3, batch_size=8, max_new_tokens=6
)
BRIEF = replace(CONFIG, max_new_tokens=2)  # some answers are longer
WHOLE = LoRAConfig()


@pytest.fixture(scope="module")
def checkpoint(byte_tokenizer: Artifact, write_checkpoint: Callable[..., Artifact]) -> Artifact:
    """One block with room for the short prompts."""
    shape = GPTConfig(n_layer=1, n_head=2, n_embd=32, vocab_size=257, context_length=96)
    return write_checkpoint(build_model(shape, seed=11), byte_tokenizer, kind="imported")


@pytest.fixture(scope="module")
def finetuned(
    checkpoint: Artifact, instructions: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    out = tmp_path_factory.mktemp("finetuned") / "finetuned"
    return finetune_instructions(checkpoint, instructions, BRIEF, WHOLE, out)


def test_every_test_prompt_is_answered_by_the_saved_model_and_scored(
    finetuned: Artifact, instructions: Artifact
) -> None:
    verify(finetuned)
    rows = pq.read_table(finetuned.directory / "answers.parquet").to_pylist()
    examples = read_instructions(source_path(instructions)).rows
    held_out = split_instructions(examples, 0.05, 0.1, CONFIG.seed).test
    assert [(r["instruction"], r["input"], r["expected"]) for r in rows] == [
        (e.instruction, e.input, e.output) for e in held_out
    ]
    model = load_model(finetuned.directory)
    tokenizer = load_tokenizer(finetuned.directory / "tokenizer")
    decoding = DecodingConfig(temperature=0.0, max_new_tokens=2)
    for row in rows:
        prompt = TEMPLATES["short"].format(row["instruction"], row["input"])
        new = generate(model, [tokenizer.encode(prompt)], decoding, tokenizer.eos_id)[0]
        assert row["answer"] == tokenizer.decode(new)
        assert row["exact_match"] == exact_match(row["answer"], row["expected"])
        assert row["rouge_l"] == rouge_l(row["answer"], row["expected"])
    metrics = finetuned.metrics()
    assert metrics["test_examples"] == len(rows)
    for name in ("exact_match", "rouge_l"):
        assert metrics[name] == pytest.approx(sum(row[name] for row in rows) / len(rows))


def test_the_checkpoint_records_its_settings_and_prompt_template(finetuned: Artifact) -> None:
    assert finetuned.manifest().config == to_json_value((BRIEF, WHOLE))
    description = read_json(finetuned.directory / "config.json")
    assert (description["kind"], description["template"]) == ("instruction", "short")
    assert description["max_tokens"] == 96


@torch.inference_mode()
def test_the_validation_loss_is_that_of_the_answers_alone(
    finetuned: Artifact, instructions: Artifact
) -> None:
    examples = read_instructions(source_path(instructions)).rows
    validation = split_instructions(examples, 0.05, 0.1, CONFIG.seed).validation
    model, tokenizer = (
        load_model(finetuned.directory),
        load_tokenizer(finetuned.directory / "tokenizer"),
    )
    nats = []
    for example in validation:
        prompt = tokenizer.encode(TEMPLATES["short"].format(example.instruction, example.input))
        answer = [*tokenizer.encode(example.output), tokenizer.eos_id]
        logs = model(torch.tensor([prompt + answer])).log_softmax(dim=-1)[0]
        nats += [-float(logs[len(prompt) - 1 + i, token]) for i, token in enumerate(answer)]
    expected = sum(nats) / len(nats)
    assert finetuned.metrics()["validation_loss"] == pytest.approx(expected, abs=1e-5)


def test_a_task_is_memorized(
    checkpoint: Artifact, register: Callable[[str, str], Artifact], out_dir: Path
) -> None:
    tasks = [{"instruction": f"Say {i}.", "output": "yes"} for i in range(60)]
    config = replace(CONFIG, epochs=3, learning_rate=1e-2)
    source = register("tasks.json", json.dumps(tasks))
    metrics = finetune_instructions(checkpoint, source, config, WHOLE, out_dir).metrics()
    assert metrics["exact_match"] == metrics["rouge_l"] == 1.0


def test_the_same_seed_gives_the_same_bytes(
    checkpoint: Artifact, instructions: Artifact, finetuned: Artifact, out_dir: Path
) -> None:
    again = finetune_instructions(checkpoint, instructions, BRIEF, WHOLE, out_dir)
    assert again.fingerprint == finetuned.fingerprint
    assert again.metrics() == finetuned.metrics()


def test_adapters_are_merged_and_also_stored_separately(
    checkpoint: Artifact, instructions: Artifact, out_dir: Path
) -> None:
    config = replace(CONFIG, epochs=1)
    finetuned = finetune_instructions(checkpoint, instructions, config, LoRAConfig(rank=2), out_dir)
    before = dict(load_model(checkpoint.directory).named_parameters())
    after = dict(load_model(finetuned.directory).named_parameters())
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    linear = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert changed == {f"h.0.{name}.weight" for name in linear}
    files = finetuned.manifest().files
    assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"} <= files.keys()
    metrics = finetuned.metrics()
    assert metrics["adapter_bytes"] == files["adapter/adapter_model.safetensors"].bytes
    assert metrics["adapter_parameters"] == 2 * 16 * 32
    assert metrics["adapter_fraction"] == 2 * 16 * 32 / sum(p.numel() for p in after.values())


def test_a_finetuned_model_can_be_finetuned_again(
    finetuned: Artifact, instructions: Artifact, messages: Artifact, out_dir: Path
) -> None:
    config = replace(CONFIG, epochs=1)
    again = finetune_instructions(finetuned, instructions, config, WHOLE, out_dir)
    assert again.manifest().parents["checkpoint:finetuned"] == finetuned.fingerprint


def test_callbacks_receive_losses_and_some_answers(
    checkpoint: Artifact, instructions: Artifact, out_dir: Path, recorder: Any
) -> None:
    config = replace(CONFIG, epochs=1)
    finetuned = finetune_instructions(
        checkpoint, instructions, config, WHOLE, out_dir, callbacks=[recorder]
    )
    names = {name for _, metrics in recorder.metrics for name in metrics}
    assert {"train/loss", "validation/loss"} <= names
    rows = pq.read_table(finetuned.directory / "answers.parquet").to_pylist()[:3]
    assert [answer for _, answer in recorder.samples] == [row["answer"] for row in rows]
    assert all(row["instruction"] in shown for row, (shown, _) in zip(rows, recorder.samples,
                                                                      strict=True))  # fmt: skip
    (notice,) = recorder.notices
    assert "examples are near duplicates of others" in notice


def test_examples_that_do_not_fit_are_skipped_with_a_notice(
    checkpoint: Artifact, register: Callable[[str, str], Artifact], out_dir: Path, recorder: Any
) -> None:
    tasks = [
        {"instruction": f"Say {i}{f' again{i}' * (30 * (i % 2))}.", "output": "yes"}
        for i in range(60)
    ]
    config = replace(CONFIG, epochs=1)
    source = register("tasks.json", json.dumps(tasks))
    metrics = finetune_instructions(
        checkpoint, source, config, WHOLE, out_dir, callbacks=[recorder]
    ).metrics()
    used = metrics["train_examples"] + metrics["validation_examples"]
    assert used + metrics["left_out_examples"] == 54
    assert metrics["left_out_examples"] > 0
    assert metrics["cut_examples"] == 0
    notices = " ".join(recorder.notices)
    assert re.search(
        r"\d+ of 51 examples of the train part are left out: .* longer than 96 tokens", notices
    )
    assert "test prompts are longer than the context of 96 tokens" in notices


def test_a_context_too_short_for_every_prompt_is_one_sentence(
    checkpoint: Artifact, instructions: Artifact, out_dir: Path
) -> None:
    config = replace(CONFIG, template="alpaca")
    example = InstructionExample("Say abc.", "", "abc")
    prompt = ByteTokenizer().encode(TEMPLATES["alpaca"].format(example.instruction))
    sentence = (
        f"within 96 tokens (the shortest prompt has {len(prompt)}): use a model with a longer"
    )
    with pytest.raises(DataError, match=re.escape(sentence)):
        finetune_instructions(checkpoint, instructions, config, WHOLE, out_dir)
    assert not list(out_dir.parent.iterdir())


def test_without_a_test_split_the_table_is_empty(
    checkpoint: Artifact, instructions: Artifact, out_dir: Path
) -> None:
    config = replace(CONFIG, epochs=1, test_share=0.0, validation_share=0.0)
    finetuned = finetune_instructions(checkpoint, instructions, config, WHOLE, out_dir)
    assert not {"exact_match", "rouge_l", "validation_loss"} & finetuned.metrics().keys()
    table = pq.read_table(finetuned.directory / "answers.parquet")
    assert (table.num_rows, table.column_names[3]) == (0, "answer")


def test_entries_without_an_answer_are_counted_and_reported(
    checkpoint: Artifact, register: Callable[[str, str], Artifact], out_dir: Path, recorder: Any
) -> None:
    tasks = [{"instruction": f"Say {i}.", "output": "yes" if i else None} for i in range(60)]
    source = register("tasks.json", json.dumps(tasks))
    finetuned = finetune_instructions(
        checkpoint, source, replace(CONFIG, epochs=1), WHOLE, out_dir, callbacks=[recorder]
    )
    assert finetuned.metrics()["blank_rows"] == 1.0
    assert any("1 of 60 rows" in notice for notice in recorder.notices)


def test_an_empty_answer_is_learned_as_the_end_of_text(
    checkpoint: Artifact, register: Callable[[str, str], Artifact], out_dir: Path
) -> None:
    _, targets = encode_example(
        InstructionExample("Hush.", "", ""), ByteTokenizer(), TEMPLATES["short"]
    )
    assert targets[-1] == ByteTokenizer().eos_id
    tasks = [{"instruction": f"Hush {i}.", "output": ""} for i in range(60)]
    config = replace(CONFIG, epochs=2, learning_rate=1e-2)
    source = register("tasks.json", json.dumps(tasks))
    finetuned = finetune_instructions(checkpoint, source, config, WHOLE, out_dir)
    answers = pq.read_table(finetuned.directory / "answers.parquet").column("answer").to_pylist()
    assert set(answers) == {""}
    assert finetuned.metrics()["exact_match"] == finetuned.metrics()["rouge_l"] == 1.0


def test_too_few_examples_for_the_split_are_one_sentence(
    checkpoint: Artifact, register: Callable[[str, str], Artifact], out_dir: Path
) -> None:
    source = register("tasks.json", json.dumps([{"instruction": "Say a.", "output": "a"}] * 3))
    with pytest.raises(DataError, match="these are only 1 different ones"):
        finetune_instructions(checkpoint, source, replace(CONFIG, test_share=0.8), WHOLE, out_dir)


def test_a_classifier_cannot_answer(
    checkpoint: Artifact, messages: Artifact, instructions: Artifact, tmp_path: Path
) -> None:
    config = ClassificationConfig(epochs=1)
    classifier = finetune_classifier(checkpoint, messages, config, WHOLE, tmp_path / "c")
    with pytest.raises(CheckpointError, match="is a classifier, but a language model is needed"):
        finetune_instructions(classifier, instructions, CONFIG, WHOLE, tmp_path / "i")


def test_merged_adapters_come_back_from_transformers_bit_for_bit(
    checkpoint: Artifact, instructions: Artifact, tmp_path: Path
) -> None:
    import transformers

    once = replace(CONFIG, epochs=1)
    finetuned = finetune_instructions(
        checkpoint, instructions, once, LoRAConfig(rank=4), tmp_path / "finetuned"
    )
    release = export_huggingface(finetuned, tmp_path / "release")
    opened = transformers.GPT2LMHeadModel.from_pretrained(release.directory)
    opened.save_pretrained(tmp_path / "again")
    ByteTokenizer().save(tmp_path / "again" / "tokenizer")
    back = import_gpt2(tmp_path / "again", tmp_path / "back")
    before, after = (load_model(each.directory) for each in (finetuned, back))
    start = load_model(checkpoint.directory)
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(before.h[0].attn.c_attn.weight, start.h[0].attn.c_attn.weight)
