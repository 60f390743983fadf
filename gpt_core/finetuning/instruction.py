"""Fine-tune a language model to follow instructions.

Shapes: B batch, T time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, cast

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from typing_extensions import override

from gpt_core.artifact import Artifact, Draft, new_artifact
from gpt_core.callbacks import Callback, Callbacks
from gpt_core.checkpoints import TOKENIZER, CheckpointDescription
from gpt_core.config import DecodingConfig, InstructionConfig, LoRAConfig
from gpt_core.data import (
    TEMPLATES,
    Batch,
    InstructionExample,
    InstructionSplits,
    collate,
    encode_example,
    read_instructions,
    split_instructions,
)
from gpt_core.errors import DataError
from gpt_core.evaluation import exact_match, rouge_l, token_loss
from gpt_core.execution import resolve_device
from gpt_core.finetuning.epochs import EpochLoop, Objective, seeded
from gpt_core.finetuning.lora import add_adapters, merge_adapters
from gpt_core.finetuning.saving import write_finetuned
from gpt_core.generation import generate
from gpt_core.models import GPT, load_model, next_token_loss
from gpt_core.text import source_path
from gpt_core.tokenizers import Tokenizer, load_tokenizer

_SCORE_BATCH = 32
_N_SAMPLES = 3  # answers that the callbacks receive
ANSWERS = pa.schema(
    [
        ("instruction", pa.string()),
        ("input", pa.string()),
        ("expected", pa.string()),
        ("answer", pa.string()),
        ("exact_match", pa.bool_()),
        ("rouge_l", pa.float64()),
    ]
)
"""Columns of ``answers.parquet``."""

Row = tuple[list[int], list[int]]
"""Token ids and targets of one example."""


class Answer(TypedDict):
    """A row of ``answers.parquet``."""

    instruction: str
    input: str
    expected: str
    answer: str
    exact_match: bool
    rouge_l: float


def finetune_instructions(
    checkpoint: Artifact,
    examples: Artifact,
    config: InstructionConfig,
    lora: LoRAConfig,
    out_dir: Path,
    *,
    callbacks: Sequence[Callback] = (),
) -> Artifact:
    """Train on prompts with answers, with the loss on the answers, then answer the test split.

    Args:
        checkpoint: A language model: pretrained, imported or fine-tuned.
        examples: A registered list of instructions.
        config: The prompt template, the splits and the training settings.
        lora: Adapters instead of full training, if its rank is above 0.
        out_dir: Directory of the model.
        callbacks: Receive losses, some answers, and notices of examples that do not fit.

    Returns:
        A checkpoint artifact with the test split's answers and scores in ``answers.parquet`` and
        their means as metrics; adapters are merged into the weights and also stored separately.

    Raises:
        DataError: If the list cannot be read, is too short, or no prompt fits into the context.
        CheckpointError: If the checkpoint is damaged or a classifier's.
        DivergenceError: If the loss is no longer a number.
    """
    device, listeners = resolve_device(config.device), Callbacks(callbacks)
    splits = _read(examples, config)
    with seeded(config.seed, device):
        body = load_model(checkpoint.directory)
        tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
        encoder = _ExampleEncoder(tokenizer, config, body.config.context_length)
        training = encoder.encode(splits.train, "training", listeners)
        validation = encoder.encode(splits.validation, "validation", listeners)
        trained = _with_adapters(body, lora).to(device)
        objective = _AnswerLoss(trained, tokenizer.pad_id, device, validation)
        loop = EpochLoop(trained, objective, config, listeners, out_dir)
        metrics = loop.run(training)
    model, adapters = merge_adapters(trained)
    assert isinstance(model, GPT)
    answers = _generate_answers(model, encoder, splits.test, listeners)
    _report_samples(answers[:_N_SAMPLES], listeners, loop.step)
    settings, parents = (config, lora), (checkpoint, examples)
    with new_artifact(out_dir, kind="checkpoint", config=settings, parents=parents) as draft:
        write_finetuned(draft, model, tokenizer, encoder.describe(model, loop.step), adapters)
        draft.metrics |= metrics | _sizes(splits, len(training))
        _write_answers(draft, answers)
    return draft.artifact


def _read(examples: Artifact, config: InstructionConfig) -> InstructionSplits:
    rows = read_instructions(source_path(examples))
    return split_instructions(rows, config.validation_share, config.test_share, config.seed)


def _with_adapters(body: GPT, lora: LoRAConfig) -> GPT:
    """Add adapters to all blocks if LoRA is on; PEFT's wrapper is called like the model."""
    return cast(GPT, add_adapters(body, lora, range(body.config.n_layer))) if lora.rank else body


def _sizes(splits: InstructionSplits, n_trained: int) -> dict[str, float]:
    return {
        "train_examples": float(n_trained),
        "left_out_examples": float(len(splits.train) - n_trained),
        "validation_examples": float(len(splits.validation)),
        "test_examples": float(len(splits.test)),
    }


class _AnswerLoss(Objective[Row]):
    """Next-token loss on the answers.

    Args:
        model: The language model, perhaps with adapters.
        pad_id: Id that pads shorter rows.
        device: Device of the model.
        validation: Examples that choose the best epoch.
    """

    def __init__(
        self, model: GPT, pad_id: int, device: torch.device, validation: Sequence[Row]
    ) -> None:
        self.model, self.pad_id, self.device = model, pad_id, device
        self.validation = sorted(validation, key=self.size)

    @override
    def loss(self, examples: Sequence[Row]) -> Tensor:
        batch = collate(examples, self.pad_id)
        logits = self.model(batch.token_ids.to(self.device))
        return next_token_loss(logits, batch.targets.to(self.device))

    @override
    def size(self, example: Row) -> int:
        return len(example[0])

    @override
    def score(self) -> dict[str, float]:
        if not self.validation:
            return {}
        return {"loss": token_loss(self.model, self._batches(), self.device)[0]}

    def _batches(self) -> list[Batch]:
        rows = self.validation
        groups = (rows[start : start + _SCORE_BATCH] for start in range(0, len(rows), _SCORE_BATCH))
        return [collate(group, self.pad_id) for group in groups]


class _ExampleEncoder:
    """Tokenizes instructions in a prompt template, with or without their answers.

    Args:
        tokenizer: The model's tokenizer.
        config: The template and the limits.
        context_length: The model's context length.
    """

    def __init__(
        self, tokenizer: Tokenizer, config: InstructionConfig, context_length: int
    ) -> None:
        self.tokenizer, self.config, self.context_length = tokenizer, config, context_length
        self.template = TEMPLATES[config.template]
        self.limit = min(config.max_tokens or context_length, context_length)

    def describe(self, model: GPT, step: int) -> CheckpointDescription:
        """The content of the fine-tuned model's ``config.json``."""
        return CheckpointDescription(
            kind="instruction",
            step=step,
            model=model.config,
            template=self.config.template,
            max_tokens=self.limit,
        )

    def prompt(self, example: InstructionExample) -> list[int]:
        """Token ids of the prompt, up to where the answer begins."""
        return self.tokenizer.encode(self.template.format(example.instruction, example.input))

    def encode(
        self, examples: Sequence[InstructionExample], split: str, listeners: Callback
    ) -> list[Row]:
        """Token ids and targets; examples whose prompt leaves no room for an answer are skipped.

        Raises:
            DataError: If that is so of every training example.
        """
        encoded = (
            encode_example(
                example,
                self.tokenizer,
                self.template,
                mask_prompt=self.config.mask_prompt,
                max_tokens=self.limit,
            )
            for example in examples
        )
        rows = [row for row in encoded if any(target >= 0 for target in row[1])]
        if split == "training" and not rows:
            shortest = min(len(self.prompt(example)) for example in examples)
            raise DataError(
                f"no prompt leaves room for an answer within {self.limit} tokens (the shortest "
                f"has {shortest}): use a model with a longer context, or set "
                "instruction.template=short"
            )
        if len(rows) < len(examples):
            listeners.on_notice(
                f"{len(examples) - len(rows)} of {len(examples)} {split} examples are left out: "
                f"their prompts leave no room for an answer within {self.limit} tokens"
            )
        return rows


def _generate_answers(
    model: GPT,
    encoder: _ExampleEncoder,
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
    texts = [encoder.tokenizer.decode(token_ids) for token_ids in new]
    return [_score_answer(*pair) for pair in zip(examples, texts, strict=True)]


def _report_samples(answers: Sequence[Answer], listeners: Callback, step: int) -> None:
    for answer in answers:
        asked = "\n".join(filter(None, [answer["instruction"], answer["input"]]))
        listeners.on_sample(step, f"{asked}\n", answer["answer"])


def _score_answer(example: InstructionExample, answer: str) -> Answer:
    return {
        "instruction": example.instruction,
        "input": example.input,
        "expected": example.output,
        "answer": answer,
        "exact_match": exact_match(answer, example.output),
        "rouge_l": rouge_l(answer, example.output),
    }


def _write_answers(draft: Draft, answers: Sequence[Answer]) -> None:
    """Write the table, and the means of its metrics."""
    if answers:
        draft.metrics["exact_match"] = sum(row["exact_match"] for row in answers) / len(answers)
        draft.metrics["rouge_l"] = sum(row["rouge_l"] for row in answers) / len(answers)
    table = pa.Table.from_pylist(list(answers), schema=ANSWERS)
    pq.write_table(table, draft.directory / "answers.parquet")
