"""Fine-tuning: classification, instruction following, and what an ablation compares."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from gpt_core.config.checks import (
    require,
    require_at_least,
    require_at_most,
    require_named,
    require_positive,
    require_share,
)
from gpt_core.config.lora import LoRAConfig
from gpt_core.config.section import Section
from gpt_core.config.text import is_encoding

_TRAINING = (
    "max_tokens", "too_long", "trainable_blocks", "token", "pad_to", "epochs", "choose_by",
    "patience", "batch_size", "micro_batch", "learning_rate", "schedule", "warmup_share",
    "layer_decay", "head_learning_rate", "weight_decay", "label_smoothing",
    "language_model_weight", "save_seconds", "seeds", "device", "precision",
)  # fmt: skip
_FULL_RATE, _LORA_RATE = 5e-4, 2e-3


class FinetuningConfig(Section):
    """The settings that both fine-tunes have, and their checks.

    Each fine-tune declares them as its own fields, with its own defaults and meanings.
    """

    __slots__ = ()
    choose_by: str = "loss"  # a fine-tune without one of these has no such field
    head_learning_rate: float = 1.0
    encoding: str = "auto"
    validation_source: str | None = None
    test_source: str | None = None
    near_duplicates: float | None = None
    source: str
    validation_share: float
    test_share: float
    max_tokens: int | None
    epochs: int
    patience: int | None
    batch_size: int
    micro_batch: int | None
    learning_rate: float | None
    schedule: Literal["linear", "cosine", "constant"]
    warmup_share: float
    layer_decay: float
    weight_decay: float
    save_seconds: float
    seed: int
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "fp32", "bf16"]

    def peak_rate(self) -> float:
        """The peak learning rate; without a given one the default of full training."""
        return self.learning_rate or _FULL_RATE

    def with_rate(self, lora: LoRAConfig) -> Self:
        """Settings whose learning rate is a number: without a given one, that of the method."""
        rate = self.learning_rate or (_LORA_RATE if lora.rank else _FULL_RATE)
        return replace(self, learning_rate=rate)  # type: ignore[call-arg]  # each subclass has it

    def held_sources(self) -> dict[str, str]:
        """The sources that are splits of their own, by ``validation`` and ``test``."""
        given = {"validation": self.validation_source, "test": self.test_source}
        return {name: source for name, source in given.items() if source is not None}

    def _check_common(self) -> None:
        require_named(self, "source", "validation_source", "test_source")
        require_at_most(self, 1, "near_duplicates")
        require_positive(self, "near_duplicates")
        require(
            self.encoding == "auto" or is_encoding(self.encoding),
            "encoding must be auto or one that Python knows, such as utf-8 or cp1252, got "
            f"{self.encoding!r}",
        )
        counts = ("max_tokens", "epochs", "patience", "batch_size", "micro_batch")
        require_at_least(self, 1, *counts)
        require_at_least(self, 0, "seed", "weight_decay", "save_seconds")
        require_positive(self, "learning_rate", "layer_decay")
        require_at_most(self, 1, "layer_decay", "warmup_share")
        require_at_least(self, 0, "warmup_share")
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
    """A named source or a path to texts and labels: a table (CSV, TSV, JSON, JSON lines, Parquet),
    lines of ``label text`` or of fastText's ``__label__x text``, a folder with a file for each
    label (its name or suffix is the label, each line a text), or one with a folder for each label
    (each file a text). Rows without a text or a label are left out and counted; if they are more
    than a tenth of all, the table is refused."""

    validation_source: str | None = None
    """Labelled texts for validation, by name or path; ``validation_share`` is not used then."""

    test_source: str | None = None
    """Labelled texts for test, by name or path; ``test_share`` is not used then."""

    encoding: str = "auto"
    """Character encoding of the files, by its name in Python, such as ``cp1252``. ``auto`` is
    UTF-8, or UTF-16 and UTF-32 with a byte-order mark."""

    text_column: str = "text"
    """Name of the texts' column; in a TSV without a header the second column. The first line is a
    header if it holds either column's name, or begins with a label that no other line has."""

    label_column: str = "label"
    """Name of the labels' column; in a TSV without a header the first column."""

    two_labels: Literal["leave-out", "keep"] = "leave-out"
    """Texts that have different labels in several rows are left out, or kept with all of them.
    Either way they are counted and said."""

    near_duplicates: float | None = 0.5
    """Texts whose sets of three words in a row overlap by at least this fraction (their Jaccard
    similarity) stay in one split, so that none is tested that nearly equals one of training. With a
    ``validation_source`` or ``test_source``, those of training that nearly equal one of its are
    left out. Case and punctuation do not matter, and numbers not in texts of eight other words
    or more. None compares for equality alone."""

    balance: Literal["none", "weights", "downsample"] = "weights"
    """How training makes up for labels that are rarer than others: not at all, by weighting the
    loss of each label by how rare it is, or by training on as many examples of each label as the
    rarest has. The validation and test splits keep the mix of the source."""

    validation_share: float = 0.1
    """Fraction of examples for choosing the best epoch; with 0 the last epoch is used."""

    test_share: float = 0.2
    """Fraction of examples for the final metrics."""

    max_tokens: int | None = None
    """The longest text, see ``too_long``; None uses the model's context length."""

    too_long: Literal["cut", "refuse", "windows"] = "cut"
    """Texts of more than ``max_tokens`` are cut at the end and counted; or refused; or read in
    windows of that length, over which the logits are averaged."""

    trainable_blocks: int | None = None
    """Train only this many last blocks, the final norm and the head; 0 trains the head alone, None
    everything. With ``lora.rank`` above 0 only these blocks get adapters."""

    token: Literal["last", "first", "mean"] = "last"
    """The token whose hidden state is classified, or ``mean`` for the mean over the text's tokens.
    Of single tokens, only the last one has seen the whole text."""

    pad_to: int | None = None
    """Pad every text to this many tokens, cut longer ones, and classify at the last position, be it
    padding, as the tutorials do; None classifies at the last token of the text."""

    positive: str | None = None
    """The label whose precision, recall and F1 are given; None takes the rarer of two labels."""

    epochs: int = 5
    """Passes over the training examples."""

    choose_by: Literal["accuracy", "f1", "loss"] = "accuracy"
    """The validation metric that chooses the best epoch: the accuracy, the mean F1 of the labels,
    or the loss, which also decides between equal ones."""

    patience: int | None = None
    """Stop after this many epochs without a better one; None trains all ``epochs``."""

    batch_size: int = 16
    """Examples in one update."""

    micro_batch: int | None = None
    """Examples computed at once; the gradients of an update's examples are added up. None computes
    all of them at once."""

    learning_rate: float | None = None
    """Peak learning rate; None is 5e-4, and 2e-3 with adapters (``lora.rank`` above 0)."""

    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls to 0 after the warm-up; ``constant`` stays at the peak."""

    warmup_share: float = 0.1
    """Fraction of the updates in which the learning rate rises to its peak."""

    layer_decay: float = 1.0
    """Each block's learning rate is that of the block above it times this, the embeddings' that of
    the first block; the final norm and the head have the full rate."""

    head_learning_rate: float = 1.0
    """The head's learning rate as a multiple of ``learning_rate``."""

    weight_decay: float = 0.1
    """Decoupled decay of weight matrices."""

    label_smoothing: float = 0.0
    """Fraction of each label's probability that is spread over all labels."""

    language_model_weight: float = 0.0
    """Weight of the training texts' next-token loss, the mean over each text's tokens, which is
    added to the loss of its label. With 0 the model learns the labels alone; Radford et al. 2018,
    section 4.1, use 0.5."""

    save_seconds: float = 120.0
    """Seconds of training between the checkpoints from which a killed run continues; 0 saves after
    every update."""

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
        require_positive(self, "head_learning_rate")
        require_share(self, "label_smoothing")
        require_at_least(self, 0, "language_model_weight")
        require(
            self.language_model_weight == 0 or self.too_long != "windows",
            "language_model_weight needs each text in one piece, so too_long=windows cannot be set",
        )
        require(
            self.pad_to is None or self.too_long != "windows",
            "too_long=windows reads every text whole, so pad_to cannot be set",
        )
        require(
            self.pad_to is None or self.token != "mean",
            "token=mean takes the mean over the text without its padding, so pad_to cannot be set",
        )
        require(
            self.text_column != self.label_column,
            f"text_column and label_column must differ, got {self.text_column!r} for both",
        )

    def for_baselines(self) -> Self:
        """The same settings of the data with those of training unset, which baselines lack."""
        defaults: dict[str, Any] = {field.name: field.default for field in fields(self)}
        return replace(self, **{name: defaults[name] for name in _TRAINING})


@dataclass(frozen=True, kw_only=True, slots=True)
class InstructionConfig(FinetuningConfig):
    """Prompts to answers, with the loss on the answers."""

    source: str = "samples"
    """A named source or a path to a table with instruction, output and perhaps input: JSON, JSON
    lines, CSV, TSV or Parquet. Entries without an instruction or an output are left out and
    counted; if they are more than a tenth of all, the file is refused."""

    validation_source: str | None = None
    """Instructions for validation, by name or path; ``validation_share`` is not used then."""

    test_source: str | None = None
    """Instructions for test, by name or path; ``test_share`` is not used then."""

    encoding: str = "auto"
    """Character encoding of the files, by its name in Python, such as ``cp1252``. ``auto`` is
    UTF-8, or UTF-16 and UTF-32 with a byte-order mark."""

    near_duplicates: float | None = 0.7
    """Instructions whose sets of three words in a row, with their input and output, overlap by at
    least this fraction (their Jaccard similarity) stay in one split, as those with equal
    instruction and input do. With a ``validation_source`` or ``test_source``, those of training
    that nearly equal one of its are left out. Case and punctuation do not matter. None compares
    instruction and input for equality alone."""

    template: Literal["alpaca", "short"] = "alpaca"
    """The prompt template around an instruction."""

    validation_share: float = 0.05
    """Fraction of examples for choosing the best epoch; with 0 the last epoch is used."""

    test_share: float = 0.1
    """Fraction of examples that are answered at the end."""

    prompt_loss_weight: float = 0.0
    """Weight of the prompt's tokens in the loss, where the answer's have 1; with 0 the prompt is
    not learned."""

    packing: bool = True
    """Put an update's examples one after another without padding. Each sees only itself, so the
    loss is the same."""

    max_tokens: int | None = None
    """The longest example, its prompt and answer together; None uses the model's context length."""

    too_long: Literal["leave-out", "cut"] = "leave-out"
    """Examples of more than ``max_tokens`` are left out, or cut at the end, so that the model does
    not see where such an answer stops. Both are counted and said."""

    epochs: int = 3
    """Passes over the training examples."""

    patience: int | None = None
    """Stop after this many epochs without a lower validation loss; None trains all ``epochs``."""

    batch_size: int = 8
    """Examples in one update."""

    micro_batch: int | None = None
    """Examples computed at once; the gradients of an update's examples are added up. None computes
    all of them at once."""

    learning_rate: float | None = None
    """Peak learning rate; None is 5e-4, and 2e-3 with adapters (``lora.rank`` above 0)."""

    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls to 0 after the warm-up; ``constant`` stays at the peak."""

    warmup_share: float = 0.1
    """Fraction of the updates in which the learning rate rises to its peak."""

    layer_decay: float = 1.0
    """Each block's learning rate is that of the block above it times this, the embeddings' that of
    the first block; the final norm and the head have the full rate."""

    weight_decay: float = 0.1
    """Decoupled decay of weight matrices."""

    save_seconds: float = 120.0
    """Seconds of training between the checkpoints from which a killed run continues; 0 saves after
    every update."""

    max_new_tokens: int = 256
    """Longest answer that is generated. Alpaca's answers have a median of 81 words."""

    seed: int = 1337
    """Seed of the split and the order."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of matrix products; ``auto`` trains in bf16 where the device is fast in it."""

    def __post_init__(self) -> None:
        self._check_common()
        require_at_least(self, 1, "max_new_tokens")
        require_at_least(self, 0, "prompt_loss_weight")
        require_at_most(self, 1, "prompt_loss_weight")
