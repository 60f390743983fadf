"""Fine-tuning: classification, instruction following and low-rank adapters."""

from dataclasses import dataclass
from typing import Literal, get_args

from gpt_core.config.checks import (
    require,
    require_at_least,
    require_named,
    require_positive,
    require_share,
)
from gpt_core.config.section import Section

LoRATarget = Literal["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]
"""A linear layer of a block: the projection to queries, keys and values, that of attention's
output, and the two of the feed-forward network."""

LoRAVariant = Literal["lora", "rslora", "dora", "pissa"]

_MORE_MODELS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class LoRAConfig(Section):
    """Low-rank adapters in place of full fine-tuning."""

    rank: int = 0
    """Rank of the update; 0 trains the weights themselves."""

    alpha: float = 16.0
    """The update is scaled by alpha / rank."""

    dropout: float = 0.0
    """Probability of dropping an adapter's input."""

    targets: tuple[LoRATarget, ...] = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    """The linear layers of each block that get adapters. All four with rank 8 are 0.9 % of the
    parameters of GPT-2 124M, ``attn.c_attn`` alone is 0.2 %."""

    variant: LoRAVariant = "lora"
    """Passed to PEFT: ``rslora`` scales by alpha / √rank, ``dora`` also trains the length of each
    weight's rows, ``pissa`` begins with the weight's largest singular vectors, and its adapter is
    saved as one of twice the rank for the unchanged model."""

    merge: bool = True
    """Save the weights with the adapter's update in them, as well as the adapter; with
    ``false`` only the adapter and which model it belongs to, which must then be kept."""

    def __post_init__(self) -> None:
        require(bool(self.targets), "targets must name at least one linear layer")
        require_at_least(self, 0, "rank")
        require_positive(self, "alpha")
        require_share(self, "dropout")


class FinetuningConfig(Section):
    """The settings that both fine-tunes have, and their checks.

    Each fine-tune declares them as its own fields, with its own defaults and meanings.
    """

    __slots__ = ()
    source: str
    validation_share: float
    test_share: float
    max_tokens: int | None
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "fp32", "bf16"]

    def _check_common(self) -> None:
        require_named(self, "source")
        require_at_least(self, 1, "max_tokens", "epochs", "batch_size")
        require_at_least(self, 0, "seed", "weight_decay")
        require_positive(self, "learning_rate")
        require_share(self, "validation_share", "test_share")
        require(
            self.validation_share + self.test_share < 1,
            "validation_share + test_share must be below 1, got "
            f"{self.validation_share} + {self.test_share}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassificationConfig(FinetuningConfig):
    """Texts to labels, with a head on the last real token."""

    source: str = "samples"
    """A named source or a path to a table of texts and labels (CSV, TSV, JSON, JSON lines or
    Parquet). Rows without a text or a label are left out and counted; if they are more than a tenth
    of all, the table is refused."""

    text_column: str = "text"
    """Name of the texts' column; in a TSV without a header the second column. The first line is a
    header if it holds either column's name, or begins with a label that no other line has."""

    label_column: str = "label"
    """Name of the labels' column; in a TSV without a header the first column."""

    balanced: bool = True
    """Use as many examples of each label as the rarest has."""

    validation_share: float = 0.1
    """Fraction of examples for choosing the best epoch; with 0 the last epoch is used."""

    test_share: float = 0.2
    """Fraction of examples for the final metrics."""

    max_tokens: int | None = None
    """Longer texts are truncated at the end; None uses the model's context length."""

    trainable_blocks: int | None = None
    """Train only this many last blocks, the final norm and the head; 0 trains the head alone, None
    everything. With ``lora.rank`` above 0 only these blocks get adapters."""

    token: Literal["last", "first"] = "last"
    """The token whose hidden state is classified. Only the last one has seen the whole text."""

    pad_to: int | None = None
    """Pad every text to this many tokens, cut longer ones, and classify at the last position, be it
    padding, as the tutorials do; None classifies at the last token of the text."""

    positive: str | None = None
    """The label whose precision, recall and F1 are given; None takes the rarer of two labels."""

    epochs: int = 5
    """Passes over the training examples."""

    batch_size: int = 16
    """Examples in one update."""

    learning_rate: float = 5e-4
    """Peak learning rate."""

    weight_decay: float = 0.1
    """Decoupled decay of weight matrices."""

    seed: int = 1337
    """Seed of the split, the order and the head."""

    seeds: int = 1
    """Train this many classifiers, with the seeds from ``seed`` on, and report mean, deviation and
    95 % interval; the one with the best validation metrics is kept."""

    split_seed: int | None = None
    """Seed of the split alone; None draws a split for each seed, so that the deviation includes it.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of matrix products; ``auto`` trains in bf16 where the device is fast in it."""

    def __post_init__(self) -> None:
        self._check_common()
        require_at_least(self, 0, "trainable_blocks", "split_seed")
        require_at_least(self, 1, "pad_to", "seeds")
        require_named(self, "text_column", "label_column", "positive")
        require(
            self.text_column != self.label_column,
            f"text_column and label_column must differ, got {self.text_column!r} for both",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class InstructionConfig(FinetuningConfig):
    """Prompts to answers, with the loss on the answers only."""

    source: str = "samples"
    """A named source or a path to JSON or JSONL with instruction, input and output. Entries without
    an instruction or an output are left out and counted; if they are more than a tenth of all, the
    file is refused."""

    template: Literal["alpaca", "short"] = "alpaca"
    """The prompt template around an instruction."""

    validation_share: float = 0.05
    """Fraction of examples for choosing the best epoch; with 0 the last epoch is used."""

    test_share: float = 0.1
    """Fraction of examples that are answered at the end."""

    mask_prompt: bool = True
    """Exclude the prompt's tokens from the loss."""

    max_tokens: int | None = None
    """The longest example, its prompt and answer together; None uses the model's context length."""

    too_long: Literal["leave-out", "cut"] = "leave-out"
    """Examples of more than ``max_tokens`` are left out, or cut at the end, so that the model does
    not see where such an answer stops. Both are counted and said."""

    epochs: int = 3
    """Passes over the training examples."""

    batch_size: int = 8
    """Examples in one update."""

    learning_rate: float = 5e-4
    """Peak learning rate."""

    weight_decay: float = 0.1
    """Decoupled decay of weight matrices."""

    max_new_tokens: int = 64
    """Longest answer that is generated."""

    seed: int = 1337
    """Seed of the split and the order."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of matrix products; ``auto`` trains in bf16 where the device is fast in it."""

    def __post_init__(self) -> None:
        self._check_common()
        require_at_least(self, 1, "max_new_tokens")


AblationRow = Literal[
    "head", "last-block", "first-token", "padded", "padded-context", "all", "lora"
]
"""Rows of the table of ``gptflow classify-table``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AblationConfig(Section):
    """Ways of fine-tuning a classifier, side by side: the table of ``classify-table``."""

    checkpoints: tuple[str, ...] = ()
    """Base models besides ``checkpoint``: directories of checkpoints or addresses of registered
    models; at most two."""

    rows: tuple[AblationRow, ...] = get_args(AblationRow)
    """The head alone; the last block at the last or the first token, or padded to ``pad_to`` or to
    the context; everything; adapters."""

    pad_to: int = 120
    """Tokens of the row ``padded``; at most the context length."""

    rank: int = 16
    """Rank of the row ``lora``, unless ``lora.rank`` is set."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "pad_to", "rank")
        require(bool(self.rows), "rows must name at least one row")
        require(len(set(self.rows)) == len(self.rows), "rows must name each row once")
        require(
            len(self.checkpoints) <= _MORE_MODELS,
            f"checkpoints must be at most {_MORE_MODELS} besides checkpoint, got "
            f"{len(self.checkpoints)}",
        )
