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

from gpt_core.artifact import Artifact, new_artifact, plain
from gpt_core.config import DecodingConfig, InstructionConfig, LoRAConfig
from gpt_core.data import (
    TEMPLATES,
    TOKENIZER,
    InstructionExample,
    collate,
    encode_example,
    read_instructions,
    split_instructions,
)
from gpt_core.errors import DataError
from gpt_core.evaluation import exact_match, rouge_l, token_loss
from gpt_core.finetuning.epochs import EpochLoop
from gpt_core.finetuning.lora import add_adapters, merge_adapters
from gpt_core.finetuning.saving import note_figures, write_finetuned
from gpt_core.generation import generate
from gpt_core.models import GPT, load_model, next_token_loss
from gpt_core.text import source_path
from gpt_core.tokenizers import Tokenizer, load_tokenizer
from gpt_core.training import Callback, Callbacks, resolve_device

_ANSWERED_TOGETHER = 32
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
        callbacks: Told of losses.

    Returns:
        A checkpoint artifact; ``answers.parquet`` has every test prompt with the expected and the
        given answer, exact match and ROUGE-L.

    Raises:
        DataError: If the list cannot be read, is too short, or no prompt fits into the context.
        CheckpointError: If the checkpoint is damaged or a classifier's.
    """
    device = resolve_device(config.device)
    torch.manual_seed(config.seed)
    model = load_model(checkpoint.directory).to(device)
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    rows = read_instructions(source_path(examples))
    parts = split_instructions(rows, config.validation_share, config.test_share, config.seed)
    train = _encode(parts.train, tokenizer, config, model)
    validation = _encode(parts.validation, tokenizer, config, model, required=False)
    trained: Any = add_adapters(model, lora).to(device) if lora.rank else model
    objective = _Objective(trained, tokenizer.pad_id, device, validation)
    loop = EpochLoop(
        model=trained,
        loss_of=objective.loss,
        score_of=objective.score,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        seed=config.seed,
        callbacks=Callbacks(callbacks),
    )
    best = loop.run(train)
    model = merge_adapters(trained) if lora.rank else model  # type: ignore[assignment]
    answers = _answer(parts.test, model, tokenizer, config)
    description = {
        "kind": "instruction",
        "step": loop.step,
        "model": plain(model.config),
        "template": config.template,
    }
    settings, parents = (config, lora), (checkpoint, examples)
    with new_artifact(out_dir, kind="checkpoint", config=settings, parents=parents) as draft:
        write_finetuned(draft, model, tokenizer, description)
        sizes: dict[str, Sequence[object]] = {
            "train": train,
            "validation": validation,
            "test": parts.test,
        }
        note_figures(draft, {"loss": -best["negative_loss"]}, sizes)
        draft.metrics["left_out_examples"] = float(len(parts.train) - len(train))
        if answers:
            for name in ("exact_match", "rouge_l"):
                draft.metrics[name] = sum(float(row[name]) for row in answers) / len(answers)
        pq.write_table(pa.Table.from_pylist(answers), draft.directory / "answers.parquet")
    return draft.artifact


class _Objective:
    """What is minimized, and what chooses the best epoch.

    Args:
        model: The language model, perhaps with adapters.
        pad_id: Fills rows up.
        device: Where the model is.
        validation: The examples that choose the best epoch; without any the last one is kept.
    """

    def __init__(
        self, model: Any, pad_id: int, device: torch.device, validation: Sequence[Row]
    ) -> None:
        self.model, self.pad_id, self.device = model, pad_id, device
        self.validation = validation

    def loss(self, rows: Sequence[Row]) -> Tensor:
        """Mean loss of a batch's answers."""
        batch = collate(rows, self.pad_id)
        logits = self.model(batch.token_ids.to(self.device))
        return next_token_loss(logits, batch.targets.to(self.device))

    def score(self) -> dict[str, float]:
        """The validation loss, negated so that more is better."""
        if not self.validation:
            return {"negative_loss": 0.0}
        rows, size = self.validation, _ANSWERED_TOGETHER
        groups = (rows[start : start + size] for start in range(0, len(rows), size))
        batches = (collate(group, self.pad_id) for group in groups)
        loss, _ = token_loss(self.model, batches, self.device)
        return {"negative_loss": -loss, "loss": loss}


def _encode(
    examples: Sequence[InstructionExample],
    tokenizer: Tokenizer,
    config: InstructionConfig,
    model: GPT,
    *,
    required: bool = True,
) -> list[Row]:
    """Ids and targets; an example whose prompt fills the context is left out."""
    limit = min(config.max_tokens or model.config.context_length, model.config.context_length)
    template = TEMPLATES[config.template]
    rows = [
        encode_example(
            example, tokenizer, template, mask_prompt=config.mask_prompt, max_tokens=limit
        )
        for example in examples
    ]
    kept = [(ids, targets) for ids, targets in rows if any(target >= 0 for target in targets)]
    if required and not kept:
        shortest = min(len(tokenizer.encode(template.format(e.instruction))) for e in examples)
        raise DataError(
            f"no prompt fits into {limit} tokens (the shortest has {shortest}): use a model with a "
            "longer context or set instruction.template=short"
        )
    return kept


def _answer(
    examples: Sequence[InstructionExample],
    model: GPT,
    tokenizer: Tokenizer,
    config: InstructionConfig,
) -> list[dict[str, Any]]:
    """Greedy answers with their figures, in the order of the examples."""
    template = TEMPLATES[config.template]
    decoding = DecodingConfig(temperature=0.0, max_new_tokens=config.max_new_tokens)
    prompts = [tokenizer.encode(template.format(e.instruction, e.input)) for e in examples]
    answers: list[list[int]] = []
    for start in range(0, len(prompts), _ANSWERED_TOGETHER):
        group = prompts[start : start + _ANSWERED_TOGETHER]
        answers.extend(generate(model, group, decoding, tokenizer.eos_id))
    rows = []
    for example, token_ids in zip(examples, answers, strict=True):
        answer = tokenizer.decode(token_ids)
        rows.append(
            {
                "instruction": example.instruction,
                "input": example.input,
                "expected": example.output,
                "answer": answer,
                "exact_match": exact_match(answer, example.output),
                "rouge_l": rouge_l(answer, example.output),
            }
        )
    return rows
