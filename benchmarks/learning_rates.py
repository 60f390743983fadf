"""Validation loss of the fine-tunes by learning rate, for full training and for adapters.

Run from the checkout: ``python -m benchmarks.learning_rates CHECKPOINT``, on the samples of the
project. The defaults of ``learning_rate`` come from its table, which is in the journal.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.report import ROOT
from gpt_core.artifact import Artifact, read_artifact
from gpt_core.config import ClassificationConfig, InstructionConfig, LoRAConfig
from gpt_core.finetuning import finetune_classifier, finetune_instructions
from gpt_core.text import register_source

FULL = (3e-4, 1e-3, 3e-3)
ADAPTERS = (1e-3, 3e-3, 1e-2)
LORA = LoRAConfig(rank=8)


def main() -> None:
    """Fine-tune at each rate and print the table."""
    checkpoint = read_artifact(Path(sys.argv[1]), "checkpoint")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = ROOT / "data" / "samples"
        messages = register_source(samples / "messages.tsv", folder / "messages")
        tasks = register_source(samples / "instructions.json", folder / "tasks")
        print("| method | rate | classification: loss | accuracy | instructions: loss |")
        print("|---|---|---|---|---|", flush=True)
        for lora, rates in ((LoRAConfig(), FULL), (LORA, ADAPTERS)):
            for rate in rates:
                print(row(checkpoint, messages, tasks, lora, rate, folder), flush=True)


def row(
    checkpoint: Artifact,
    messages: Artifact,
    tasks: Artifact,
    lora: LoRAConfig,
    rate: float,
    folder: Path,
) -> str:
    """The best epochs' validation metrics at one rate."""
    classify = ClassificationConfig(learning_rate=rate, epochs=1)
    answer = InstructionConfig(
        learning_rate=rate, template="short", epochs=2, max_new_tokens=1, too_long="cut"
    )
    classifier = finetune_classifier(checkpoint, messages, classify, lora, folder / "c").metrics()
    follower = finetune_instructions(checkpoint, tasks, answer, lora, folder / "i").metrics()
    return (
        f"| {'LoRA, rank 8' if lora.rank else 'full'} | {rate:g} | "
        f"{classifier['validation_loss']:.3f} | {classifier['validation_accuracy']:.3f} | "
        f"{follower['validation_loss']:.3f} |"
    )


if __name__ == "__main__":
    main()
