"""Tokenize instructions with their answers, and count those that the context does not hold.

A model that never sees an answer's end-of-document token does not learn to stop, so an example is
used whole, or it is left out or cut and counted.
"""

from collections.abc import Sequence

from gpt_core.callbacks import Callback
from gpt_core.checkpoints import CheckpointDescription
from gpt_core.config import InstructionConfig
from gpt_core.data import TEMPLATES, encode_example
from gpt_core.errors import DataError
from gpt_core.models import GPT
from gpt_core.text import InstructionExample
from gpt_core.tokenizers import Tokenizer

Row = tuple[list[int], list[int]]
"""Token ids and targets of one example; the targets within the prompt are ``IGNORED``."""


class ExampleEncoder:
    """Tokenizes instructions in a prompt template, with or without their answers.

    Args:
        tokenizer: The model's tokenizer.
        config: The template and the limits.
        context_length: The model's context length.
        listeners: Receive notices of examples that are too long.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: InstructionConfig,
        context_length: int,
        listeners: Callback,
    ) -> None:
        self.tokenizer, self.config, self.context_length = tokenizer, config, context_length
        self.listeners = listeners
        self.template = TEMPLATES[config.template]
        self.limit = min(config.max_tokens or context_length, context_length)
        self.counts = {"left_out_examples": 0.0, "cut_examples": 0.0}
        """Metrics: the training and validation examples that are used, and those left out and
        cut."""

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

    def encode(self, examples: Sequence[InstructionExample], split: str) -> list[Row]:
        """Token ids and targets of the examples that are used.

        Args:
            examples: The examples of a split.
            split: Its name in notices.

        Raises:
            DataError: If none of the training examples can be used.
        """
        rows, n_cut = [], 0
        for example in examples:
            token_ids, targets = encode_example(example, self.tokenizer, self.template)
            too_long = len(token_ids) > self.limit
            learnable = any(target >= 0 for target in targets[: self.limit])
            if too_long and not (learnable and self.config.too_long == "cut"):
                continue
            n_cut += too_long
            rows.append((token_ids[: self.limit], targets[: self.limit]))
        n_left_out = len(examples) - len(rows)
        if split == "train" and not rows:
            raise DataError(self._nothing_fits(examples))
        where = "left out of the loss" if split == "test" else "left out"
        self._report(n_left_out, examples, f"the {split} part are {where}")
        self._report(n_cut, examples, f"the {split} part are cut at the end")
        self.counts[f"{split}_examples"] = float(len(rows))
        if split == "test":  # its examples are answered whatever their length
            return rows
        self.counts["left_out_examples"] += n_left_out
        self.counts["cut_examples"] += n_cut
        return rows

    def _report(self, n: int, examples: Sequence[InstructionExample], what: str) -> None:
        if n:
            self.listeners.on_notice(
                f"{n:,} of {len(examples):,} examples of {what}: with their answers they are "
                f"longer than {self.limit} tokens"
            )

    def _nothing_fits(self, examples: Sequence[InstructionExample]) -> str:
        """The sentence for examples of which none can be used."""
        prompts = min(len(self.prompt(example)) for example in examples)
        fits = prompts <= self.limit
        advice = ["use a model with a longer context"]
        advice += ["set instruction.template=short"] * (self.config.template != "short")
        advice += ["set instruction.too_long=cut"] * fits
        what = "prompt leaves room for an answer within"
        if fits:
            what = "example fits with its answer into"
        return (
            f"no {what} {self.limit} tokens (the shortest prompt has {prompts}): "
            f"{' or '.join(advice)}"
        )
