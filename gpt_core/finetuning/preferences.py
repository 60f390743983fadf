"""Tune a language model on pairs of a better and a worse answer (DPO).

The reference model is the one before training. Its log-probabilities of all answers are computed
once, before training, so that it then takes no memory.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.artifact import Artifact, Draft
from gpt_core.callbacks import Callback, Callbacks
from gpt_core.checkpoints import CheckpointDescription, read_description
from gpt_core.config import DecodingConfig, LoRAConfig, PreferenceConfig
from gpt_core.data import TEMPLATES, PromptTemplate, encode_example
from gpt_core.errors import DataError
from gpt_core.execution import resolve_device
from gpt_core.finetuning.contamination import count_seen_held, write_seen
from gpt_core.finetuning.dpo_loss import EncodedPair, PreferenceLoss, score_answers
from gpt_core.finetuning.epochs import EpochLoop, seeded
from gpt_core.finetuning.instruction import with_adapters
from gpt_core.finetuning.lora import merge_adapters
from gpt_core.finetuning.progress import FinetuningRun
from gpt_core.finetuning.saving import load_base, write_finetuned
from gpt_core.generation import generate
from gpt_core.models import GPT
from gpt_core.text import (
    InstructionExample,
    PreferencePair,
    PreferenceSplits,
    read_preference_splits,
    source_path,
)
from gpt_core.tokenizers import Tokenizer

_N_SAMPLES = 3  # answers that the callbacks receive
ANSWERS = pa.schema(
    [(name, pa.string()) for name in ("instruction", "input", "chosen", "rejected", "before",
                                      "after")]
)  # fmt: skip
"""Columns of ``answers.parquet``: the answers of the model before and after."""


def finetune_preferences(
    checkpoint: Artifact,
    examples: Artifact,
    config: PreferenceConfig,
    lora: LoRAConfig,
    out_dir: Path,
    *,
    callbacks: Sequence[Callback] = (),
) -> Artifact:
    """Make better answers likelier than worse ones, with DPO, and answer test prompts.

    Args:
        checkpoint: A language model, best one tuned on instructions: the reference model.
        examples: A registered file of pairs.
        config: The loss, the splits and the training.
        lora: Adapters instead of full training, if its rank is above 0.
        out_dir: Directory of the model.
        callbacks: Receive losses, some answers, and notices of pairs that do not fit.

    Returns:
        A checkpoint artifact; answers before and after are in ``answers.parquet``.

    Raises:
        DataError: If the file cannot be read or no pair fits into the context.
        CheckpointError: If the checkpoint is damaged or a classifier's.
        DivergenceError: If the loss is no longer a number.
    """
    device, config = resolve_device(config.device), config.with_rate(lora)
    listeners = Callbacks(callbacks)
    run = FinetuningRun(out_dir, (config, lora), (checkpoint, examples))
    splits, counts = _read(checkpoint, examples, config, listeners)
    with seeded(config.seed, device):
        body, tokenizer = load_base(checkpoint)
        encoder = PairEncoder(body.to(device), tokenizer, checkpoint, config)
        parts = encoder.encode_splits(splits, listeners)
        before = encoder.answer(body, asked := splits.test[: config.answers])
        trained = with_adapters(body, lora).to(device)
        objective = PreferenceLoss(trained, tokenizer.pad_id, parts["validation"], config)
        loop = EpochLoop(trained, objective, config, listeners, run)
        metrics = loop.run(parts["train"]) | _measure_test(objective, parts["test"])
    model, adapter = merge_adapters(trained)
    after = encoder.answer(cast(GPT, model), asked)
    _report_samples(asked, after, listeners, loop.step)
    shown = encoder.describe(loop.step)
    with run.result() as draft:
        write_finetuned(draft, model, tokenizer, shown, adapter, checkpoint, lora)
        write_seen(draft, splits.train, checkpoint, examples, {})
        draft.metrics |= metrics | encoder.counts | counts
        _write_answers(draft, asked, before, after)
    return draft.artifact


def _read(
    checkpoint: Artifact, examples: Artifact, config: PreferenceConfig, listeners: Callback
) -> tuple[PreferenceSplits, dict[str, float]]:
    """The splits, and counts of the pairs left out and of prompts that the model was tuned on."""
    splits, file = read_preference_splits(source_path(examples), config)
    if file.notice:
        listeners.on_notice(file.notice)
    seen = count_seen_held(splits.by_name(), checkpoint, listeners)
    return splits, {"blank_rows": float(file.n_left_out)} | seen


def _report_samples(
    pairs: Sequence[PreferencePair], answers: Sequence[str], listeners: Callback, step: int
) -> None:
    for pair, answer in list(zip(pairs, answers, strict=True))[:_N_SAMPLES]:
        asked = "\n".join(filter(None, [pair.instruction, pair.input]))
        listeners.on_sample(step, f"{asked}\n", answer)


class PairEncoder:
    """Tokenizes pairs, and scores them with the model before training.

    Args:
        model: The model before training.
        tokenizer: Its tokenizer.
        checkpoint: Where it is from; its prompt template is used if none is configured.
        config: The template and the limits.
    """

    def __init__(
        self, model: GPT, tokenizer: Tokenizer, checkpoint: Artifact, config: PreferenceConfig
    ) -> None:
        self.model, self.tokenizer, self.config = model, tokenizer, config
        tuned = read_description(checkpoint.directory).template
        self.template_name = config.template or tuned or "alpaca"
        self.template: PromptTemplate = TEMPLATES[self.template_name]
        context = model.config.context_length
        self.limit = min(config.max_tokens or context, context)
        self.counts: dict[str, float] = {"left_out_examples": 0.0}
        """Metrics: the pairs of each split that are used, and those that do not fit."""

    def encode_splits(
        self, splits: PreferenceSplits, listeners: Callback
    ) -> dict[str, list[EncodedPair]]:
        """The pairs of each split that fit, with their log-probabilities before training.

        Raises:
            DataError: If no training pair fits.
        """
        parts = splits.by_name()
        encoded = {name: self._encode(pairs) for name, pairs in parts.items()}
        total = sum(map(len, parts.values()))
        n_left_out = total - sum(map(len, encoded.values()))
        if not encoded["train"]:
            raise DataError(
                f"no pair fits into {self.limit} tokens: use a model with a longer context, or "
                "set preference.template=short"
            )
        if n_left_out:
            listeners.on_notice(
                f"{n_left_out:,} of {total:,} pairs are left out: an answer with its prompt is "
                f"longer than {self.limit} tokens"
            )
        self.counts["left_out_examples"] = float(n_left_out)
        self.counts |= {f"{name}_examples": float(len(pairs)) for name, pairs in encoded.items()}
        return {name: self._score(pairs) for name, pairs in encoded.items()}

    def answer(self, model: GPT, pairs: Sequence[PreferencePair]) -> list[str]:
        """A model's greedy answers to the prompts of pairs."""
        decoding = DecodingConfig(temperature=0.0, max_new_tokens=self.config.max_new_tokens)
        prompts = [
            self.tokenizer.encode(self.template.format(pair.instruction, pair.input))
            for pair in pairs
        ]
        new = generate(model, prompts, decoding, self.tokenizer.eos_id)
        return [self.tokenizer.decode(token_ids) for token_ids in new]

    def describe(self, step: int) -> CheckpointDescription:
        """The content of the tuned model's ``config.json``."""
        return CheckpointDescription(
            kind="instruction",
            step=step,
            model=self.model.config,
            template=self.template_name,
            max_tokens=self.limit,
        )

    def _encode(self, pairs: Sequence[PreferencePair]) -> list[EncodedPair]:
        encoded = []
        for pair in pairs:
            chosen, rejected = (
                encode_example(
                    InstructionExample(pair.instruction, pair.input, answer),
                    self.tokenizer,
                    self.template,
                )
                for answer in (pair.chosen, pair.rejected)
            )
            if max(len(chosen[0]), len(rejected[0])) <= self.limit:
                encoded.append(EncodedPair(chosen, rejected))
        return encoded

    def _score(self, pairs: Sequence[EncodedPair]) -> list[EncodedPair]:
        rows = [row for pair in pairs for row in (pair.chosen, pair.rejected)]
        found = score_answers(self.model, rows, self.tokenizer.pad_id)
        return [
            replace(pair, before_chosen=found[2 * i], before_rejected=found[2 * i + 1])
            for i, pair in enumerate(pairs)
        ]


def _measure_test(objective: PreferenceLoss, pairs: Sequence[EncodedPair]) -> dict[str, float]:
    if not pairs:
        return {}
    measured = objective.measure(pairs)
    renamed = {"accuracy": "reward_accuracy", "margin": "reward_margin"}
    return {f"test_{renamed.get(name, name)}": value for name, value in measured.items()}


def _write_answers(
    draft: Draft, pairs: Sequence[PreferencePair], before: Sequence[str], after: Sequence[str]
) -> None:
    columns = [
        [getattr(pair, name) for pair in pairs]
        for name in ("instruction", "input", "chosen", "rejected")
    ]
    table = pa.table([*columns, list(before), list(after)], schema=ANSWERS)
    pq.write_table(table, draft.directory / "answers.parquet")
