"""Fine-tuning a language model as a classifier."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn import metrics as sk

from gpt_core.artifact import Artifact, read_artifact, to_json_value, verify
from gpt_core.config import ClassificationConfig, GPTConfig, LoRAConfig
from gpt_core.data import encode_texts, pad
from gpt_core.errors import CheckpointError, ConfigError, DataError
from gpt_core.files import read_json
from gpt_core.finetuning import finetune_classifier
from gpt_core.finetuning.classification import _adapt
from gpt_core.finetuning.label_loss import EncodedExample, LabelLoss
from gpt_core.models import GPTClassifier, build_model, load_classifier, load_model
from gpt_core.text import source_path
from gpt_core.tokenizers import load_tokenizer

CONFIG = ClassificationConfig(epochs=6, learning_rate=5e-3, batch_size=16)
SHORT = replace(CONFIG, epochs=1)
WHOLE = LoRAConfig()


@pytest.fixture(scope="module")
def classifier(
    checkpoint: Artifact, messages: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    out = tmp_path_factory.mktemp("classifier") / "classifier"
    return finetune_classifier(checkpoint, messages, CONFIG, WHOLE, out)


def weights(artifact: Artifact) -> bytes:
    return (artifact.directory / "model.safetensors").read_bytes()


def test_the_word_that_decides_the_label_is_learned(classifier: Artifact) -> None:
    metrics = classifier.metrics()
    assert metrics["test_accuracy"] == metrics["test_f1"] == 1.0
    assert metrics["validation_accuracy"] == 1.0
    assert 1 <= metrics["best_epoch"] <= 6
    assert classifier.manifest().config == to_json_value((CONFIG, WHOLE))
    verify(classifier)


@pytest.mark.parametrize("lora", [WHOLE, LoRAConfig(rank=2)])
def test_next_tokens_are_learned_and_labels_by_their_weight(
    checkpoint: Artifact, messages: Artifact, lora: LoRAConfig, tmp_path: Path
) -> None:
    lines = source_path(messages).read_text(encoding="utf-8").splitlines()
    texts = [line.partition("\t")[2] for line in lines[1:101]]
    losses = {}
    for weight in (0.0, 2.0):
        config = replace(CONFIG, language_model_weight=weight)
        made = finetune_classifier(checkpoint, messages, config, lora, tmp_path / f"{weight}")
        assert made.metrics()["test_accuracy"] > 0.7
        body = load_classifier(made.directory)[0].gpt
        tokenizer = load_tokenizer(made.directory / "tokenizer")
        token_ids, lengths = pad(encode_texts(texts, tokenizer, 64), tokenizer.pad_id)
        model = GPTClassifier(body, 2)
        with torch.inference_mode():
            _, found = model.forward_with_next_tokens(token_ids, lengths, body.wte.weight)
        losses[weight] = found.mean().item()
    assert losses[2.0] < losses[0.0]


@pytest.mark.parametrize("tied", [True, False])
def test_next_tokens_train_the_head_only_where_it_is_the_embeddings(tied: bool) -> None:
    shape = GPTConfig(
        n_layer=1, n_head=1, n_embd=8, vocab_size=13, context_length=8, tied_head=tied
    )
    config = ClassificationConfig(language_model_weight=0.5)
    model, head = _adapt(build_model(shape, seed=0), 2, config, WHOLE)
    examples = [EncodedExample([1, 2, 3], 0), EncodedExample([4, 5], 1)]
    LabelLoss(model, head, 0, [], config).loss(examples).backward()
    assert (head is model.gpt.wte.weight) == tied
    assert (head.grad is not None) == tied
    assert model.gpt.wte.weight.grad is not None


def test_next_tokens_need_texts_in_one_piece() -> None:
    with pytest.raises(ConfigError, match="language_model_weight needs each text in one piece"):
        ClassificationConfig(language_model_weight=0.5, too_long="windows")


def test_the_checkpoint_reproduces_the_recorded_predictions(
    classifier: Artifact,
) -> None:
    model, labels = load_classifier(classifier.directory)
    tokenizer = load_tokenizer(classifier.directory / "tokenizer")
    assert labels == classifier.manifest().info["labels"] == ["ham", "spam"]
    limit = read_json(classifier.directory / "config.json")["max_tokens"]
    rows = pq.read_table(classifier.directory / "predictions.parquet").to_pylist()
    assert len(rows) == classifier.metrics()["test_examples"]
    for row in rows:
        token_ids, lengths = pad(encode_texts([row["text"]], tokenizer, limit), tokenizer.pad_id)
        with torch.inference_mode():
            best = model.probabilities(token_ids, lengths).max(dim=-1)
        assert labels[int(best.indices)] == row["predicted"]
        assert best.values.item() == pytest.approx(row["probability"], abs=1e-5)


def test_the_recorded_metrics_are_of_the_recorded_predictions(classifier: Artifact) -> None:
    metrics = classifier.metrics()
    rows = pq.read_table(classifier.directory / "predictions.parquet").to_pydict()
    losses = np.array(rows["loss"])
    assert metrics["test_loss"] == pytest.approx(losses.mean(), abs=1e-6)
    correct = np.array(rows["expected"]) == np.array(rows["predicted"])
    own = np.where(correct, rows["probability"], 1 - np.array(rows["probability"]))
    np.testing.assert_allclose(-np.log(own), losses, atol=1e-4)
    description = read_json(classifier.directory / "config.json")
    found = sk.f1_score(rows["expected"], rows["predicted"], pos_label=description["positive"])
    assert metrics["test_f1_positive"] == pytest.approx(found)
    assert description["temperature"] == metrics["temperature"] != 1.0
    assert description["threshold"] == metrics["threshold"]
    labels = read_json(classifier.directory / "labels.json")
    assert [row["label"] for row in labels] == ["ham", "spam"]
    curves = read_json(classifier.directory / "reliability.json")
    for curve in curves.values():
        assert sum(row["examples"] for row in curve) == len(losses)
    assert metrics["test_ece_uncalibrated"] >= 0


def test_the_head_alone_and_padding_and_the_first_token_are_kept_with_the_checkpoint(
    checkpoint: Artifact, messages: Artifact, tmp_path: Path
) -> None:
    config = replace(SHORT, trainable_blocks=0, token="first", pad_to=24)
    tuned = finetune_classifier(checkpoint, messages, config, WHOLE, tmp_path / "tuned")
    before = dict(load_model(checkpoint.directory).named_parameters())
    model, labels = load_classifier(tuned.directory)
    after = dict(model.gpt.named_parameters())
    assert all(torch.equal(after[name], before[name]) for name in after)
    assert (model.position, model.pad_to) == ("first", 24)
    tokenizer = load_tokenizer(tuned.directory / "tokenizer")
    row = pq.read_table(tuned.directory / "predictions.parquet").to_pylist()[0]
    token_ids, lengths = pad(encode_texts([row["text"]], tokenizer, 24), tokenizer.pad_id, 24)
    with torch.inference_mode():
        best = model.probabilities(token_ids, lengths).max(dim=-1)
    assert labels[int(best.indices)] == row["predicted"]
    assert best.values.item() == pytest.approx(row["probability"], abs=1e-5)
    too_long = replace(config, pad_to=10_000)
    with pytest.raises(ConfigError, match="pad_to is 10000, but the model's context has"):
        finetune_classifier(checkpoint, messages, too_long, WHOLE, tmp_path / "none")


def test_a_classifier_of_the_mean_is_loaded_as_one(
    checkpoint: Artifact, messages: Artifact, tmp_path: Path
) -> None:
    config = replace(SHORT, trainable_blocks=0, token="mean")
    tuned = finetune_classifier(checkpoint, messages, config, WHOLE, tmp_path / "tuned")
    model, labels = load_classifier(tuned.directory)
    assert model.position == "mean"
    tokenizer = load_tokenizer(tuned.directory / "tokenizer")
    row = pq.read_table(tuned.directory / "predictions.parquet").to_pylist()[0]
    token_ids, lengths = pad(encode_texts([row["text"]], tokenizer, None), tokenizer.pad_id)
    with torch.inference_mode():
        best = model.probabilities(token_ids, lengths).max(dim=-1)
    assert labels[int(best.indices)] == row["predicted"]
    assert best.values.item() == pytest.approx(row["probability"], abs=1e-5)
    with pytest.raises(ConfigError, match="mean over the text without its padding"):
        replace(config, pad_to=24)


def test_the_confusion_matrix_counts_the_predictions(classifier: Artifact) -> None:
    rows = pq.read_table(classifier.directory / "predictions.parquet").to_pylist()
    counts = Counter((row["expected"], row["predicted"]) for row in rows)
    for row in read_json(classifier.directory / "confusion.json"):
        for label in ("ham", "spam"):
            assert row[f"predicted {label}"] == counts[row["expected"], label]


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(
    checkpoint: Artifact, messages: Artifact, tmp_path: Path
) -> None:
    made = []
    for name, config in (
        ("one", SHORT),
        ("two", SHORT),
        ("three", replace(SHORT, seed=2)),
    ):
        torch.rand(len(made))  # what is drawn elsewhere has no influence
        made.append(finetune_classifier(checkpoint, messages, config, WHOLE, tmp_path / name))
    assert weights(made[0]) == weights(made[1])
    assert made[0].fingerprint == made[1].fingerprint
    assert weights(made[0]) != weights(made[2])


def test_only_the_chosen_blocks_are_trained(
    checkpoint: Artifact, messages: Artifact, out_dir: Path
) -> None:
    config = replace(SHORT, trainable_blocks=1)
    tuned = finetune_classifier(checkpoint, messages, config, WHOLE, out_dir)
    before = dict(load_model(checkpoint.directory).named_parameters())
    after = dict(load_classifier(tuned.directory)[0].gpt.named_parameters())
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    allowed = {name for name in after if name.startswith(("h.1.", "ln_f."))}
    assert changed <= allowed
    assert any(name.startswith("h.1.attn") for name in changed)


def test_adapters_are_merged_and_also_stored_separately(
    checkpoint: Artifact, messages: Artifact, out_dir: Path
) -> None:
    config = replace(SHORT, trainable_blocks=1)
    tuned = finetune_classifier(checkpoint, messages, config, LoRAConfig(rank=2), out_dir)
    before = dict(load_model(checkpoint.directory).named_parameters())
    after = dict(load_classifier(tuned.directory)[0].gpt.named_parameters())
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    linear = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert changed == {f"h.1.{name}.weight" for name in linear}
    assert "adapter/adapter_model.safetensors" in tuned.manifest().files


def test_callbacks_receive_losses_and_the_validation_accuracy(
    checkpoint: Artifact, messages: Artifact, out_dir: Path, recorder: Any
) -> None:
    finetune_classifier(checkpoint, messages, SHORT, WHOLE, out_dir, callbacks=[recorder])
    names = {name for _, metrics in recorder.metrics for name in metrics}
    assert {"train/loss", "validation/loss", "validation/accuracy"} <= names
    assert recorder.runs[0].total_steps == recorder.ends[0] == recorder.metrics[-1][0]
    assert recorder.runs[0].out_dir == out_dir


def test_an_empty_split_has_no_metrics(
    checkpoint: Artifact, messages: Artifact, out_dir: Path
) -> None:
    config = replace(SHORT, validation_share=0.0, test_share=0.0)
    tuned = finetune_classifier(checkpoint, messages, config, WHOLE, out_dir)
    assert not [name for name in tuned.metrics() if name.endswith(("accuracy", "loss"))]
    table = pq.read_table(tuned.directory / "predictions.parquet")
    assert (table.num_rows, table.column_names[:2]) == (0, ["text", "expected"])


def test_three_labels_and_empty_texts_are_supported(
    checkpoint: Artifact, register: Callable[[str, str], Artifact], out_dir: Path
) -> None:
    lines = [f'{{"text": "{"ab"[i % 2] * (i % 9)}{i}", "label": {i % 3}}}' for i in range(90)]
    lines += ['{"text": "", "label": 0}']
    table = register("table.jsonl", "\n".join(lines))
    tuned = finetune_classifier(checkpoint, table, SHORT, WHOLE, out_dir)
    assert load_classifier(tuned.directory)[1] == ["0", "1", "2"]
    assert len(read_json(tuned.directory / "confusion.json")) == 3


def test_rows_without_a_text_are_counted_and_reported(
    checkpoint: Artifact, register: Callable[[str, str], Artifact], out_dir: Path, recorder: Any
) -> None:
    lines = [f"{'ab'[i % 2]}\t{f'text {i}' if i else ''}" for i in range(200)]
    table = register("table.tsv", "\n".join(lines) + "\n")
    tuned = finetune_classifier(checkpoint, table, SHORT, WHOLE, out_dir, callbacks=[recorder])
    assert tuned.metrics()["blank_rows"] == 1.0
    assert any("1 of 200 rows" in notice for notice in recorder.notices)


def test_a_text_longer_than_the_context_is_truncated(
    checkpoint: Artifact, register: Callable[[str, str], Artifact], out_dir: Path
) -> None:
    lines = [f"{'ab'[i % 2]}\t{'xy'[i % 2]}{i}{f' long{i}' * 40}" for i in range(40)]
    table = register("table.tsv", "\n".join(lines) + "\n")
    tuned = finetune_classifier(checkpoint, table, SHORT, WHOLE, out_dir)
    assert read_json(tuned.directory / "config.json")["max_tokens"] == 64
    config = replace(SHORT, max_tokens=8)
    tuned = finetune_classifier(checkpoint, table, config, WHOLE, out_dir)
    assert read_json(tuned.directory / "config.json")["max_tokens"] == 8


@pytest.mark.parametrize(
    ("settings", "content", "sentence"),
    [
        ({}, "ham\tone\nham\ttwo\n", "has only the label 'ham': a classifier needs at least two"),
        ({}, "ham\tone\nham\ttwo\nspam\tx\n", "part has no example of"),
        ({"label_column": "kind"}, "label,text,n\na,b,1\n", "has no column 'kind'"),
    ],
    ids=["one label", "too few", "no such column"],
)
def test_an_unusable_table_leaves_no_files(
    checkpoint: Artifact,
    register: Callable[[str, str], Artifact],
    out_dir: Path,
    settings: dict[str, Any],
    content: str,
    sentence: str,
) -> None:
    table = register("table.csv" if "," in content else "table.tsv", content)
    with pytest.raises(DataError, match=re.escape(sentence)):
        finetune_classifier(checkpoint, table, replace(SHORT, **settings), WHOLE, out_dir)
    assert not list(out_dir.parent.iterdir())


def test_training_more_blocks_than_exist_is_refused(
    checkpoint: Artifact, messages: Artifact, out_dir: Path
) -> None:
    config = replace(SHORT, trainable_blocks=3)
    sentence = "classification.trainable_blocks is 3, but the model has 2 blocks"
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        finetune_classifier(checkpoint, messages, config, WHOLE, out_dir)


def test_only_a_language_model_can_be_finetuned(
    classifier: Artifact, messages: Artifact, out_dir: Path
) -> None:
    with pytest.raises(CheckpointError, match="is a classifier, but a language model is needed"):
        finetune_classifier(classifier, messages, SHORT, WHOLE, out_dir)
    other = read_artifact(messages.directory)
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        finetune_classifier(other, messages, SHORT, WHOLE, out_dir)


def test_an_interrupted_run_keeps_an_earlier_result_intact(
    checkpoint: Artifact, messages: Artifact, out_dir: Path, recorder: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    earlier = finetune_classifier(checkpoint, messages, SHORT, WHOLE, out_dir)

    def broken_off(step: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recorder, "on_end", broken_off)
    with pytest.raises(KeyboardInterrupt):
        finetune_classifier(checkpoint, messages, SHORT, WHOLE, out_dir, callbacks=[recorder])
    verify(earlier)
    assert [path.name for path in out_dir.parent.iterdir()] == [out_dir.name]
