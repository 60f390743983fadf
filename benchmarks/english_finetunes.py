"""Pretrain the preset ``english`` and fine-tune it: SMS, SST-2, adapters, instructions.

Run from the checkout: ``python -m benchmarks.english_finetunes WORK PART ...``, with the parts of
``PARTS``. ``WORK`` keeps every model, so that a command that was killed continues where it was, and
a second one only prints its tables. The texts are read from ``shared/data`` beside the checkout.
"""

import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from benchmarks.english import write
from benchmarks.report import DATA, publish
from gpt_core import data, text, tokenizers, training
from gpt_core.artifact import REPORT, Artifact, read_artifact
from gpt_core.callbacks import ProgressLines
from gpt_core.checkpoints import WEIGHTS
from gpt_core.config import ClassificationConfig, InstructionConfig, LoRAConfig, load_config
from gpt_core.evaluation import fit_baselines, summarize_classifiers
from gpt_core.files import read_json
from gpt_core.finetuning import finetune_classifier, finetune_instructions
from gpt_core.text import register_source

CONFIG = load_config("english")
SMS, TRAIN, DEV, TASKS = (
    DATA / "sms_spam/SMSSpamCollection.tsv",
    DATA / "sentiment/sst2_glue_train.tsv",
    DATA / "sentiment/sst2_glue_dev.tsv",
    DATA / "instruct/instruction-data.json",
)
SMS_SETTINGS = CONFIG.classification
# The dev sentences are the test part; the epoch is chosen on held-back training phrases.
SST2_SETTINGS = ClassificationConfig(
    epochs=3, batch_size=64, layer_decay=0.9, weight_decay=0.3, validation_share=0.03,
    balance="none", label_smoothing=0.1, text_column="sentence",
    token="mean",  # nosec B106  # of a text
)  # fmt: skip
TASK_SETTINGS = InstructionConfig(template="short", epochs=10, max_new_tokens=64)
ADAPTERS = LoRAConfig(rank=2)  # 0.7 % of the parameters
RATES = {"full": (2e-4, 5e-4, 1e-3, 2e-3), "LoRA": (5e-4, 2e-3, 5e-3, 1e-2)}
SMS_SEEDS, SST2_SEEDS = 5, 3  # one of the latter takes a quarter of an hour
SMS_F1, SST2_ACCURACY, STOP_RATE, POINTS = 0.955, 0.835, 0.95, 0.005


def main() -> None:
    """Measure the parts that were asked for."""
    work, *parts = sys.argv[1:]
    for part in parts or list(PARTS):
        PARTS[part](Path(work))


def pretrained(work: Path) -> Artifact:
    """The base model; made if it is not there."""
    file = write(DATA, work / "english.txt")
    raw = kept(work / "raw", "raw", lambda out: register_source(file, out, name="english"))
    corpus = kept(
        work / "corpus",
        "documents",
        lambda out: text.clean_corpus(raw, CONFIG.reading, CONFIG.cleaning, out),
    )
    tokenizer = kept(
        work / "tokenizer",
        "tokenizer",
        lambda out: tokenizers.train_tokenizer(corpus, CONFIG.tokenizer, out),
    )
    shards = kept(
        work / "shards",
        "shards",
        lambda out: data.encode_corpus(corpus, tokenizer, CONFIG.shards, out),
    )
    lines = ProgressLines(partial(print, flush=True))
    return kept(
        work / "base" / f"step-{CONFIG.training.steps:08}",
        "checkpoint",
        lambda out: training.pretrain(shards, CONFIG.pretrain, out.parent, callbacks=[lines]),
    )


def pretrain(work: Path) -> None:
    """The base's loss, and the time that it takes."""
    started, cpu = time.perf_counter(), time.process_time()
    metrics = pretrained(work).metrics()
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    rows = ["| validation loss | seconds | CPU seconds |", "|---|---|---|"]
    rows.append(f"| {metrics['validation_loss']:.3f} | {seconds:.0f} | {used:.0f} |")
    publish("The base of the preset english", "english_finetunes WORK pretrain", _shape(), rows)


def sms(work: Path) -> None:
    """Spam on the natural mix, near duplicates grouped, each seed with a split of its own."""
    _classify(work, "SMS Spam", SMS, None, SMS_SETTINGS, SMS_SEEDS, f"spam F1 ≥ {SMS_F1}")


def sst2(work: Path) -> None:
    """SST-2's phrases, measured on its official dev sentences."""
    target = f"accuracy > {SST2_ACCURACY:.1%}"
    _classify(work, "SST-2", TRAIN, DEV, SST2_SETTINGS, SST2_SEEDS, target)


def adapters(work: Path) -> None:
    """Adapters against full training, each at the best of its rates, on one split."""
    base, rows = pretrained(work), [
        "| method | rate | validation loss | validation accuracy | test accuracy | spam F1 | "
        "trained | bytes saved | peak memory, MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for method, rates in RATES.items():
        found = [_in_process(base, work, method, rate) for rate in rates]
        best = min(found, key=lambda each: each[1]["validation_loss"])
        rows += [_adapter_row(method, *each, is_best=each is best) for each in found]
    how = f"{_shape()} SMS Spam, one split, {SMS_SETTINGS.epochs} epochs; target: 0.5 points."
    publish("LoRA against full training", "english_finetunes WORK adapters", how, rows)


def instructions(work: Path) -> None:
    """The 1,100 instructions: what is cut, whether answers end, and how good they are."""
    base = pretrained(work)
    raw = kept(work / "tasks", "raw", lambda out: register_source(TASKS, out))
    made = kept(
        work / "follower",
        "checkpoint",
        lambda out: finetune_instructions(base, raw, TASK_SETTINGS, LoRAConfig(), out),
    )
    names = (
        "train_examples", "test_examples", "left_out_examples", "cut_examples", "stop_rate",
        "test_loss", "exact_match", "rouge_l",
    )  # fmt: skip
    metrics = made.metrics()
    rows = ["| metric | value |", "|---|---|"]
    rows += [f"| {name} | {metrics[name]:.4g} |" for name in names if name in metrics]
    how = f"{_shape()} Target: none cut silently, stop_rate ≥ {STOP_RATE}."
    publish("The 1,100 instructions", "english_finetunes WORK instructions", how, rows)


def kept(directory: Path, kind: str, make: Callable[[Path], Artifact]) -> Artifact:
    """An artifact that is there already, or is made now."""
    if (directory / "manifest.json").is_file():
        return read_artifact(directory, kind)
    return make(directory)


def _classify(
    work: Path,
    title: str,
    table: Path,
    test: Path | None,
    config: ClassificationConfig,
    seeds: int,
    target: str,
) -> None:
    """Classifiers of several seeds, and the linear model on the same splits."""
    base, folder = pretrained(work), work / title.replace(" ", "-")
    raw = kept(folder / "raw", "raw", lambda out: register_source(table, out))
    held = {}
    if test is not None:
        held["test"] = kept(folder / "test", "raw", lambda out: register_source(test, out))
    made, linear = [], []
    for seed in range(config.seed, config.seed + seeds):
        alone = replace(config, seed=seed)
        made.append(
            kept(
                folder / f"seed-{seed}",
                "checkpoint",
                lambda out, alone=alone: finetune_classifier(
                    base, raw, alone, LoRAConfig(), out, held=held
                ),
            )
        )
        found = made[-1].metrics()
        print(
            f"{title}, seed {seed}: accuracy {found['test_accuracy']:.2%}, "
            f"F1 {found['test_f1_positive']:.4f}, best epoch {found['best_epoch']:.0f}",
            flush=True,
        )
        linear.append(
            kept(
                folder / f"linear-{seed}",
                "report",
                lambda out, alone=alone: fit_baselines(raw, alone.for_baselines(), out, held=held),
            )
        )
    summary = folder / "summary"
    report = kept(summary, "report", lambda out: summarize_classifiers(made, linear, "", out))
    how = f"{_shape()} {seeds} seeds, test part of {made[0].metrics()['test_examples']:.0f} texts"
    how = f"{how} with its natural mix. Target: {target}."
    publish(title, f"english_finetunes WORK {_part_of(title)}", how, _model_rows(report))


def _part_of(title: str) -> str:
    return "sms" if title.startswith("SMS") else "sst2"


def _model_rows(report: Artifact) -> list[str]:
    rows = [
        "| model | accuracy | 95 % interval | positive F1 | with the threshold | AUROC |",
        "|---|---|---|---|---|---|",
    ]
    names = ("f1_positive", "f1_positive_at_threshold", "auroc")
    for row in read_json(report.directory / REPORT)["models"]:
        ends = [row.get(f"accuracy_{end}") for end in ("low", "high")]
        interval = "" if None in ends else " to ".join(f"{end:.1%}" for end in ends)
        numbers = " | ".join(f"{row.get(name) or 0:.4f}" for name in names)
        rows.append(f"| {row['model']} | {row['accuracy']:.2%} | {interval} | {numbers} |")
    return rows


Outcome = tuple[float, dict[str, float], float]
"""A learning rate, the metrics that it leads to, and the peak of memory in megabytes."""


def _in_process(base: Artifact, work: Path, method: str, rate: float) -> Outcome:
    """Fine-tune in a process of its own, whose peak of memory is this fine-tune's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_finetune, base.directory, work, method, rate).result()


def _finetune(base: Path, work: Path, method: str, rate: float) -> Outcome:
    folder = work / "adapters"
    raw = kept(folder / "raw", "raw", lambda out: register_source(SMS, out))
    config = replace(SMS_SETTINGS, learning_rate=rate)
    lora = ADAPTERS if method == "LoRA" else LoRAConfig()
    made = kept(
        folder / f"{method}-{rate:g}",
        "checkpoint",
        lambda out: finetune_classifier(read_artifact(base, "checkpoint"), raw, config, lora, out),
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    whole = (made.directory / WEIGHTS).stat().st_size
    return rate, {"adapter_bytes": whole, "adapter_fraction": 1.0} | made.metrics(), memory


def _adapter_row(
    method: str, rate: float, metrics: dict[str, float], memory: float, *, is_best: bool
) -> str:
    shown = f"**{rate:g}**" if is_best else f"{rate:g}"
    return (
        f"| {method} | {shown} | {metrics['validation_loss']:.3f} | "
        f"{metrics['validation_accuracy']:.2%} | {metrics['test_accuracy']:.2%} | "
        f"{metrics['test_f1_positive']:.3f} | {metrics['adapter_fraction']:.2%} | "
        f"{metrics['adapter_bytes']:,.0f} | {memory:.0f} |"
    )


def _shape() -> str:
    model = CONFIG.model
    return f"Base: the preset english, {model.n_layer} layers of {model.n_embd}."


PARTS: dict[str, Callable[[Path], None]] = {
    "pretrain": pretrain,
    "sms": sms,
    "sst2": sst2,
    "adapters": adapters,
    "instructions": instructions,
}

if __name__ == "__main__":
    main()
