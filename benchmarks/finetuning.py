"""Our fine-tuning of a classifier against Hugging Face's Trainer and PEFT.

Run from the checkout: ``python -m benchmarks.finetuning [--checkpoint DIR] [--table FILE]``. Both
begin from the same weights, train on the same examples of the same splits with the same settings,
and are measured on the same test part, one after the other for each seed.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from typing_extensions import override

from benchmarks.report import ROOT, publish
from gpt_core.artifact import Artifact, new_artifact, read_artifact
from gpt_core.callbacks import Callback, RunInfo
from gpt_core.checkpoints import CheckpointDescription, write_checkpoint
from gpt_core.config import ClassificationConfig, GPTConfig, LoRAConfig
from gpt_core.data import encode_texts, pad
from gpt_core.finetuning import finetune_classifier
from gpt_core.interop import export_huggingface
from gpt_core.models import build_model, save_weights
from gpt_core.text import Example, read_example_splits, register_source, source_path
from gpt_core.tokenizers import ByteTokenizer, Tokenizer, load_tokenizer

METHODS = {"full": (LoRAConfig(), 5e-4), "LoRA": (LoRAConfig(rank=8), 2e-3)}
WIDTH = 128  # tokens of the longest text

Row = dict[str, Any]
"""An example as ``transformers`` takes it: ``input_ids`` and ``labels``."""


@dataclass
class Outcome:
    """Accuracy on the test part, and the examples trained on per second and per CPU second."""

    accuracy: float
    speed: float
    cpu_speed: float  # what other work on the machine takes is not in it


class Clock(Callback):
    """Measures the time between the first update and the last."""

    seconds = cpu_seconds = 0.0

    @override
    def on_start(self, run: RunInfo) -> None:
        self._started, self._cpu_started = time.perf_counter(), time.process_time()

    @override
    def on_end(self, step: int) -> None:
        self.seconds = time.perf_counter() - self._started
        self.cpu_seconds = time.process_time() - self._cpu_started


def main() -> None:
    """Train with both, print the table and append it to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--checkpoint", type=Path, help="the base; random weights if not given")
    parser.add_argument("--table", type=Path, default=ROOT / "data/samples/messages.tsv")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of both")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        base = read_artifact(given.checkpoint) if given.checkpoint else random_base(place / "base")
        release = export_huggingface(base, place / "release").directory
        table = register_source(given.table.resolve(), place / "raw")
        lines = [
            "| method | ours, accuracy | Trainer + PEFT, accuracy | ours, examples/s | "
            "Trainer + PEFT, examples/s | ratio | ratio per CPU second |",
            "|---|---|---|---|---|---|---|",
        ]
        for method in METHODS:
            pairs = []
            for seed in range(given.seeds):
                config = ClassificationConfig(
                    seed=seed, epochs=given.epochs, validation_share=0.0, max_tokens=WIDTH,
                    learning_rate=METHODS[method][1], precision=given.precision,
                    balance="none",
                )  # fmt: skip
                ours = train_ours(
                    base, table, config, METHODS[method][0], place / f"{method}{seed}"
                )
                theirs = train_theirs(base, release, table, config, method, place)
                pairs.append((ours, theirs))
                print(f"{method}, seed {seed}: {ours}, {theirs}", flush=True)
            lines.append(row(method, pairs))
        weights = given.checkpoint.name if given.checkpoint else "4 layers of 128, random weights"
        how = (
            f"{given.seeds} seeds, {given.epochs} epochs of {given.table.name}, base: {weights}, "
            f"{given.precision}."
        )
        publish("Fine-tuning a classifier, against Trainer and PEFT", "finetuning", how, lines)


def random_base(directory: Path) -> Artifact:
    """A byte-level model with weights as they are drawn."""
    shape = GPTConfig(n_layer=4, n_head=4, n_embd=128, vocab_size=257, context_length=WIDTH)
    model = build_model(shape, seed=1)
    with new_artifact(directory, kind="checkpoint") as draft:
        write_checkpoint(
            draft,
            CheckpointDescription(kind="imported", step=0, model=shape),
            save_weights=lambda path: save_weights(model, path),
            save_tokenizer=ByteTokenizer().save,
        )
    return draft.artifact


def train_ours(
    base: Artifact, table: Artifact, config: ClassificationConfig, lora: LoRAConfig, out_dir: Path
) -> Outcome:
    """Train with gptflow."""
    clock = Clock()
    made = finetune_classifier(base, table, config, lora, out_dir, callbacks=[clock])
    metrics = made.metrics()
    n_examples = metrics["train_examples"] * config.epochs
    speeds = n_examples / clock.seconds, n_examples / clock.cpu_seconds
    return Outcome(metrics["test_accuracy"], *speeds)


def train_theirs(
    base: Artifact,
    release: Path,
    table: Artifact,
    config: ClassificationConfig,
    method: str,
    place: Path,
) -> Outcome:
    """Train with ``transformers`` and PEFT."""
    import transformers

    transformers.logging.set_verbosity_error()
    splits, _ = read_example_splits(source_path(table), config)
    tokenizer = load_tokenizer(base.directory / "tokenizer")
    labels = sorted({example.label for example in splits.train})
    train, test = (encode(part, tokenizer, labels) for part in (splits.train, splits.test))
    torch.manual_seed(config.seed)
    classifier = transformers.GPT2ForSequenceClassification
    model = classifier.from_pretrained(  # a directory
        release, num_labels=len(labels), pad_token_id=tokenizer.pad_id
    )
    if method == "LoRA":
        model = with_peft(model, METHODS[method][0])
    arguments = transformers.TrainingArguments(
        output_dir=str(place / "theirs"), num_train_epochs=config.epochs, seed=config.seed,
        per_device_train_batch_size=config.batch_size, learning_rate=config.learning_rate or 0.0,
        weight_decay=config.weight_decay, warmup_steps=config.warmup_share, save_strategy="no",
        train_sampling_strategy="group_by_length", report_to=[], disable_tqdm=True, use_cpu=True,
        bf16=config.precision == "bf16",
        logging_strategy="no", per_device_eval_batch_size=64, adam_beta2=0.95,
    )  # fmt: skip
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        data_collator=partial(collate, tokenizer.pad_id),
    )
    started, cpu_started = time.perf_counter(), time.process_time()
    trainer.train()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    found = trainer.predict(test)  # in an order of its own, by length
    accuracy = float((found.predictions.argmax(axis=-1) == found.label_ids).mean())
    n_examples = len(splits.train) * config.epochs
    return Outcome(accuracy, n_examples / seconds, n_examples / cpu_seconds)


def encode(examples: list[Example], tokenizer: Tokenizer, labels: list[str]) -> list[Row]:
    """Token ids and the index of the label of each example."""
    texts = encode_texts([example.text for example in examples], tokenizer, WIDTH)
    return [
        {"input_ids": token_ids, "labels": labels.index(example.label)}
        for token_ids, example in zip(texts, examples, strict=True)
    ]


def collate(pad_id: int, rows: list[Row]) -> dict[str, Any]:
    """A batch, padded at the end."""
    token_ids, _ = pad([row["input_ids"] for row in rows], pad_id)
    return {"input_ids": token_ids, "labels": torch.tensor([row["labels"] for row in rows])}


def with_peft(model: Any, lora: LoRAConfig) -> Any:
    """Adapters of PEFT on a classifier of ``transformers``."""
    import peft

    settings = peft.LoraConfig(
        task_type="SEQ_CLS", r=lora.rank, lora_alpha=int(lora.alpha), fan_in_fan_out=True,
        target_modules=list(lora.targets),
    )  # fmt: skip
    return peft.get_peft_model(model, settings)


def row(method: str, pairs: list[tuple[Outcome, Outcome]]) -> str:
    """A line of the table: means over the seeds."""
    means = [
        replace(
            side[0],
            accuracy=statistics.mean(each.accuracy for each in side),
            speed=statistics.mean(each.speed for each in side),
            cpu_speed=statistics.mean(each.cpu_speed for each in side),
        )
        for side in zip(*pairs, strict=True)
    ]
    ours, theirs = means
    return (
        f"| {method} | {ours.accuracy:.1%} | {theirs.accuracy:.1%} | {ours.speed:.0f} | "
        f"{theirs.speed:.0f} | {ours.speed / theirs.speed:.2f} | "
        f"{ours.cpu_speed / theirs.cpu_speed:.2f} |"
    )


if __name__ == "__main__":
    main()
