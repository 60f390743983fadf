"""A language model into one that answers instructions.

Shapes: B batch, T time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from gpt_core.artifact import Artifact, Draft, new_artifact
from gpt_core.callbacks import Callback, Callbacks
from gpt_core.checkpoints import TOKENIZER, CheckpointDescription
from gpt_core.config import DecodingConfig, GPTConfig, InstructionConfig, LoRAConfig
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
from gpt_core.models import load_model, next_token_loss
from gpt_core.text import source_path
from gpt_core.tokenizers import Tokenizer, load_tokenizer

_SCORED_TOGETHER = 32
_SHOWN = 3  # answers that the callbacks are told
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
"""Ids and targets of one example."""


def finetune_instructions(
    checkpoint: Artifact,
    examples: Artifact,
    config: InstructionConfig,
    lora: LoRAConfig,
    out_dir: Path,
    *,
    callbacks: Sequence[Callback] = (),
) -> Artifact:
    """Train on prompts with answers, the loss on the answers only, then answer the test part.

    Args:
        checkpoint: Any language model: pretrained, imported or fine-tuned.
        examples: A registered list of instructions.
        config: The wording, the split and how to train.
        lora: Adapters in place of full training, if its rank is above 0.
        out_dir: Where the model goes.
        callbacks: Told of losses, of some answers, and of examples that do not fit.

    Returns:
        A checkpoint artifact; ``answers.parquet`` has every test prompt with the expected and the
        given answer, exact match and ROUGE-L, the metrics their means; adapters are merged into
        the weights and stand beside them.

    Raises:
        DataError: If the list cannot be read, is too short, or no prompt fits into the context.
        CheckpointError: If the checkpoint is damaged or a classifier's.
        DivergenceError: If the loss is no longer a number.
    """
    device, listeners = resolve_device(config.device), Callbacks(callbacks)
    rows = read_instructions(source_path(examples))
    parts = split_instructions(rows, config.validation_share, config.test_share, config.seed)
    with seeded(config.seed, device):
        body = load_model(checkpoint.directory)
        wording = _Wording(load_tokenizer(checkpoint.directory / TOKENIZER), config, body.config)
        encoded = {n: wording.encode(p, n, listeners) for n, p in _learned(parts).items()}
        blocks = range(body.config.n_layer)
        trained = (add_adapters(body, lora, blocks) if lora.rank else body).to(device)
        objective = _Answering(trained, wording.tokenizer.pad_id, device, encoded["validation"])
        loop = EpochLoop(trained, objective, config, listeners, out_dir)
        best = loop.run(encoded["training"])
    model, adapters = merge_adapters(trained)
    answers = wording.answer(parts.test, model, listeners, loop.step)
    description = wording.describe(loop.step)
    settings, parents = (config, lora), (checkpoint, examples)
    with new_artifact(out_dir, kind="checkpoint", config=settings, parents=parents) as draft:
        write_finetuned(draft, model, wording.tokenizer, description, adapters)
        draft.metrics |= best | _sizes(parts, len(encoded["training"]))
        _write_answers(draft, answers)
    return draft.artifact


def _learned(parts: InstructionSplits) -> dict[str, list[InstructionExample]]:
    """What is encoded with its answers, by the name that messages have for it."""
    return {"training": parts.train, "validation": parts.validation}


def _sizes(parts: InstructionSplits, n_trained: int) -> dict[str, float]:
    return {
        "train_examples": float(n_trained),
        "left_out_examples": float(len(parts.train) - n_trained),
        "validation_examples": float(len(parts.validation)),
        "test_examples": float(len(parts.test)),
    }


class _Answering(Objective[Row]):
    """Likely answers.

    Args:
        model: The language model, perhaps with adapters.
        pad_id: Fills rows up.
        device: Where the model is.
        validation: The examples that choose the best epoch.
    """

    def __init__(
        self, model: Any, pad_id: int, device: torch.device, validation: Sequence[Row]
    ) -> None:
        self.model, self.pad_id, self.device = model, pad_id, device
        self.validation = sorted(validation, key=self.size)

    def loss(self, examples: Sequence[Row]) -> Tensor:
        """Mean loss of the targets that count."""
        batch = collate(examples, self.pad_id)
        logits = self.model(batch.token_ids.to(self.device))
        return next_token_loss(logits, batch.targets.to(self.device))

    def size(self, example: Row) -> int:
        """Its tokens."""
        return len(example[0])

    def score(self) -> dict[str, float]:
        """Loss on the validation part."""
        if not self.validation:
            return {}
        return {"loss": token_loss(self.model, self._batches(), self.device)[0]}

    def _batches(self) -> list[Batch]:
        rows = self.validation
        groups = (
            rows[start : start + _SCORED_TOGETHER]
            for start in range(0, len(rows), _SCORED_TOGETHER)
        )
        return [collate(group, self.pad_id) for group in groups]


class _Wording:
    """Turns examples into ids, and prompts into answers.

    Args:
        tokenizer: The model's.
        config: The template and the limits.
        shape: The model's.
    """

    def __init__(self, tokenizer: Tokenizer, config: InstructionConfig, shape: GPTConfig) -> None:
        self.tokenizer, self.config, self.shape = tokenizer, config, shape
        self.template = TEMPLATES[config.template]
        self.limit = min(config.max_tokens or shape.context_length, shape.context_length)

    def describe(self, step: int) -> CheckpointDescription:
        """The content of ``config.json``."""
        return CheckpointDescription(
            kind="instruction",
            step=step,
            model=self.shape,
            template=self.config.template,
            max_tokens=self.limit,
        )

    def encode(
        self, examples: Sequence[InstructionExample], part: str, listeners: Callback
    ) -> list[Row]:
        """Ids and targets; an example whose prompt leaves no room for an answer is left out.

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
        if part == "training" and not rows:
            shortest = min(len(self.prompt(example)) for example in examples)
            raise DataError(
                f"no prompt leaves room for an answer within {self.limit} tokens (the shortest "
                f"has {shortest}): use a model with a longer context, or set "
                "instruction.template=short"
            )
        if len(rows) < len(examples):
            listeners.on_notice(
                f"{len(examples) - len(rows)} of {len(examples)} {part} examples are left out: "
                f"their prompts leave no room for an answer within {self.limit} tokens"
            )
        return rows

    def prompt(self, example: InstructionExample) -> list[int]:
        """The ids up to where the answer begins."""
        return self.tokenizer.encode(self.template.format(example.instruction, example.input))

    def answer(
        self, examples: Sequence[InstructionExample], model: Any, listeners: Callback, step: int
    ) -> list[dict[str, Any]]:
        """Greedy answers with their figures, in the order of the examples."""
        decoding = DecodingConfig(temperature=0.0, max_new_tokens=self.config.max_new_tokens)
        prompts = [self.prompt(example) for example in examples]
        context = self.shape.context_length
        too_long = sum(len(prompt) > context for prompt in prompts)
        if too_long:
            listeners.on_notice(
                f"{too_long} of {len(prompts)} test prompts are longer than the context of "
                f"{context} tokens: their beginning is not seen"
            )
        new = generate(model, prompts, decoding, self.tokenizer.eos_id)
        answers = [self.tokenizer.decode(token_ids) for token_ids in new]
        for example, answer in list(zip(examples, answers, strict=True))[:_SHOWN]:
            asked = "\n".join(filter(None, [example.instruction, example.input]))
            listeners.on_sample(step, f"{asked}\n", answer)
        return list(map(_judged, examples, answers))


def _judged(example: InstructionExample, answer: str) -> dict[str, Any]:
    """A row of ``answers.parquet``."""
    return {
        "instruction": example.instruction,
        "input": example.input,
        "expected": example.output,
        "answer": answer,
        "exact_match": exact_match(answer, example.output),
        "rouge_l": rouge_l(answer, example.output),
    }


def _write_answers(draft: Draft, answers: Sequence[dict[str, Any]]) -> None:
    """The table and the means of its figures."""
    if answers:
        for name in ("exact_match", "rouge_l"):
            draft.metrics[name] = sum(float(row[name]) for row in answers) / len(answers)
    table = pa.Table.from_pylist(list(answers), schema=ANSWERS)
    pq.write_table(table, draft.directory / "answers.parquet")
