"""Fine-tune a language model to follow instructions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.artifact import Artifact, Draft
from gpt_core.callbacks import Callback, Callbacks
from gpt_core.config import DecodingConfig, InstructionConfig, LoRAConfig
from gpt_core.evaluation import exact_match, rouge_l
from gpt_core.execution import resolve_device
from gpt_core.finetuning.answer_loss import AnswerLoss
from gpt_core.finetuning.contamination import count_seen_held, write_seen
from gpt_core.finetuning.epochs import EpochLoop, seeded
from gpt_core.finetuning.example_encoder import ExampleEncoder
from gpt_core.finetuning.lora import add_adapters, merge_adapters
from gpt_core.finetuning.progress import FinetuningRun
from gpt_core.finetuning.saving import load_base, write_finetuned
from gpt_core.generation import generate
from gpt_core.models import GPT
from gpt_core.text import (
    InstructionExample,
    InstructionSplits,
    read_instruction_splits,
    source_path,
)

_N_SAMPLES = 3  # answers that the callbacks receive
ANSWERS = pa.schema(
    [
        ("instruction", pa.string()),
        ("input", pa.string()),
        ("expected", pa.string()),
        ("answer", pa.string()),
        ("exact_match", pa.bool_()),
        ("rouge_l", pa.float64()),
        ("ended", pa.bool_()),
    ]
)
"""Columns of ``answers.parquet``; an answer has ended if it was not cut at ``max_new_tokens``."""


class Answer(TypedDict):
    """A row of ``answers.parquet``."""

    instruction: str
    input: str
    expected: str
    answer: str
    exact_match: bool
    rouge_l: float
    ended: bool


def finetune_instructions(
    checkpoint: Artifact,
    examples: Artifact,
    config: InstructionConfig,
    lora: LoRAConfig,
    out_dir: Path,
    *,
    held: Mapping[str, Artifact] | None = None,
    callbacks: Sequence[Callback] = (),
) -> Artifact:
    """Train on prompts with answers, with the loss on the answers, then answer the test split.

    Args:
        checkpoint: A language model: pretrained, imported or fine-tuned.
        examples: A registered list of instructions.
        config: The prompt template, the splits and the training settings.
        lora: Adapters instead of full training, if its rank is above 0.
        out_dir: Directory of the model.
        held: The registered lists for ``validation`` and ``test``, where these are not split off.
        callbacks: Receive losses, some answers, and notices of examples that do not fit.

    Returns:
        A checkpoint artifact; the test split's answers with scores are in ``answers.parquet``.

    Raises:
        DataError: If the list cannot be read, is too short, or no prompt fits into the context.
        CheckpointError: If the checkpoint is damaged or a classifier's.
    """
    device, listeners = resolve_device(config.device), Callbacks(callbacks)
    config, held = config.with_rate(lora), held or {}
    run = FinetuningRun(out_dir, (config, lora), (checkpoint, examples, *held.values()))
    splits, counts = _read(checkpoint, examples, config, held, listeners)
    with seeded(config.seed, device):
        body, tokenizer = load_base(checkpoint)
        encoder = ExampleEncoder(tokenizer, config, body.config.context_length, listeners)
        training, validation = (encoder.encode(*part) for part in _tuned_on(splits))
        trained = with_adapters(body, lora).to(device)
        objective = AnswerLoss(trained, tokenizer.pad_id, validation, config)
        loop = EpochLoop(trained, objective, config, listeners, run)
        metrics = loop.run(training) | _test_loss(objective, encoder, splits.test)
    model, adapter = merge_adapters(trained)
    assert isinstance(model, GPT)
    answers = _answer_test(model, encoder, splits.test, listeners, loop.step)
    shown = encoder.describe(model, loop.step)
    with run.result() as draft:
        write_finetuned(draft, model, tokenizer, shown, adapter, checkpoint, lora)
        write_seen(draft, splits.train, checkpoint, examples, held)
        draft.metrics |= metrics | encoder.counts | counts
        _write_answers(draft, answers)
    return draft.artifact


def _tuned_on(splits: InstructionSplits) -> list[tuple[list[InstructionExample], str]]:
    """The parts that are encoded before training, with their names."""
    return [(splits.train, "train"), (splits.validation, "validation")]


def _read(
    checkpoint: Artifact,
    examples: Artifact,
    config: InstructionConfig,
    held: Mapping[str, Artifact],
    listeners: Callback,
) -> tuple[InstructionSplits, dict[str, float]]:
    """The splits, and metrics that count the entries."""
    files = {name: source_path(artifact) for name, artifact in held.items()}
    splits, file = read_instruction_splits(source_path(examples), config, files)
    for notice in file.notices:
        listeners.on_notice(notice)
    counts = {"blank_rows": file.n_left_out, "test_examples": len(splits.test)} | file.counts
    seen = count_seen_held(splits.by_name(), checkpoint, listeners)
    return splits, {name: float(n) for name, n in counts.items()} | seen


def _test_loss(
    objective: AnswerLoss, encoder: ExampleEncoder, examples: Sequence[InstructionExample]
) -> dict[str, float]:
    """The loss of the test part's answers; none if no example fits."""
    rows = encoder.encode(examples, "test")
    return {"test_loss": objective.answer_loss(rows)} if rows else {}


def with_adapters(body: GPT, lora: LoRAConfig) -> GPT:
    """Add adapters to all blocks if LoRA is on; PEFT's wrapper is called like the model."""
    return cast(GPT, add_adapters(body, lora, range(body.config.n_layer))) if lora.rank else body


def generate_answers(
    model: GPT,
    encoder: ExampleEncoder,
    examples: Sequence[InstructionExample],
    listeners: Callback,
) -> list[Answer]:
    """Greedy answers with their metrics, in the order of the examples."""
    decoding = DecodingConfig(temperature=0.0, max_new_tokens=encoder.config.max_new_tokens)
    prompts = [encoder.prompt(example) for example in examples]
    context = encoder.context_length
    too_long = sum(len(prompt) > context for prompt in prompts)
    if too_long:
        listeners.on_notice(
            f"{too_long} of {len(prompts)} test prompts are longer than the context of "
            f"{context} tokens: their beginning is not seen"
        )
    new = generate(model, prompts, decoding, encoder.tokenizer.eos_id)
    return [
        _score_answer(
            example,
            encoder.tokenizer.decode(token_ids),
            ended=len(token_ids) < decoding.max_new_tokens,
        )
        for example, token_ids in zip(examples, new, strict=True)
    ]


def _answer_test(
    model: GPT,
    encoder: ExampleEncoder,
    examples: Sequence[InstructionExample],
    listeners: Callback,
    step: int,
) -> list[Answer]:
    """Answer the test split, and report the first answers."""
    answers = generate_answers(model, encoder, examples, listeners)
    for answer in answers[:_N_SAMPLES]:
        asked = "\n".join(filter(None, [answer["instruction"], answer["input"]]))
        listeners.on_sample(step, f"{asked}\n", answer["answer"])
    return answers


def _score_answer(example: InstructionExample, answer: str, *, ended: bool) -> Answer:
    return {
        "instruction": example.instruction,
        "input": example.input,
        "expected": example.output,
        "answer": answer,
        "exact_match": exact_match(answer, example.output),
        "rouge_l": rouge_l(answer, example.output),
        "ended": ended,
    }


def mean_scores(answers: Sequence[Answer]) -> dict[str, float]:
    """The means of the answers' metrics and the fraction that ended; empty without answers."""
    if not answers:
        return {}
    return {
        "exact_match": sum(row["exact_match"] for row in answers) / len(answers),
        "rouge_l": sum(row["rouge_l"] for row in answers) / len(answers),
        "stop_rate": sum(row["ended"] for row in answers) / len(answers),
    }


def _write_answers(draft: Draft, answers: Sequence[Answer]) -> None:
    """Write the table, and the means of its metrics."""
    draft.metrics |= mean_scores(answers)
    table = pa.Table.from_pylist(list(answers), schema=ANSWERS)
    pq.write_table(table, draft.directory / "answers.parquet")
