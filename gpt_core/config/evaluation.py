"""Settings of the evaluation of models and tokenizers."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from gpt_core.config.checks import require, require_at_least, require_named
from gpt_core.config.section import Section
from gpt_core.config.text import TokenizerConfig, TokenizerKind
from gpt_core.errors import ConfigError

Benchmark = Literal["lambada", "hellaswag", "text"]
"""Benchmarks, each a field of ``BenchmarkConfig`` with its source."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig(Section):
    """Evaluation of a language model on held-out text: loss, perplexity, bits per byte, samples."""

    split: Literal["validation", "test"] = "test"
    """Split to evaluate on."""

    batch_size: int = 16
    """Samples per forward pass."""

    max_tokens: int | None = None
    """Maximum number of tokens to evaluate on; by default the entire split."""

    prompts: tuple[str, ...] = ("",)
    """Prompts of the generated samples; an empty prompt starts a document."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Device; ``auto`` takes a GPU if there is one."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "batch_size", "max_tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkConfig(Section):
    """Zero-shot comparison of checkpoints on public benchmarks."""

    checkpoints: tuple[str, ...] = ()
    """Checkpoint directories, addresses of registered models such as ``models:/NAME@champion``, or
    ``gpt2`` for the release in ``gpt2.source``."""

    lambada: str | None = None
    """LAMBADA, JSON lines with ``text``: a path, or a name in ``data/sources.toml``."""

    hellaswag: str | None = None
    """HellaSwag, JSON lines with ``ctx``, ``endings`` and ``label``: a path."""

    text: str | None = None
    """A UTF-8 text whose perplexity is measured: a path."""

    detokenize: Literal["none", "wikitext"] = "none"
    """``wikitext`` removes WikiText's spaces around punctuation from ``text`` first; words are
    counted before that."""

    stride: int = 512
    """Tokens by which the window over ``text`` advances; at most the context length."""

    limit: int | None = None
    """Maximum number of questions per benchmark; by default all."""

    batch_size: int = 16
    """Questions, or windows of ``text``, per forward pass."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Device; ``auto`` takes a GPU if there is one."""

    def __post_init__(self) -> None:
        require_named(self, "lambada", "hellaswag", "text")
        require_at_least(self, 1, "stride", "limit", "batch_size")
        require(
            len(self.by_label()) == len(self.checkpoints),
            f"checkpoints must differ from each other, got {', '.join(self.checkpoints)}",
        )

    def by_label(self) -> dict[str, str]:
        """The checkpoints by label: a directory's name, with its parent's if it is a step."""
        return {checkpoint_label(checkpoint): checkpoint for checkpoint in self.checkpoints}

    def sources(self) -> dict[Benchmark, str]:
        """The source of each benchmark that has one."""
        sources: dict[Benchmark, str | None] = {
            name: getattr(self, name) for name in get_args(Benchmark)
        }
        return {name: source for name, source in sources.items() if source is not None}


def checkpoint_label(checkpoint: str) -> str:
    """Short name of a checkpoint.

    Example:
        >>> checkpoint_label("data/checkpoints/tiny-1234/step-00000250/")
        'tiny-1234/step-00000250'
        >>> checkpoint_label("models:/small@champion")
        'small@champion'
    """
    if checkpoint.startswith("models:/"):
        return checkpoint.removeprefix("models:/")
    path = Path(checkpoint)
    return "/".join(path.parts[-2:]) if path.name.startswith("step-") else path.name


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonConfig(Section):
    """Comparison of tokenizers on one corpus."""

    tokenizers: tuple[str, ...] = (
        "byte", "character", "word", "bpe", "sentencepiece-bpe", "unigram",
    )  # fmt: skip
    """Each a kind, ``kind:size`` or ``kind:size:pattern`` such as ``bpe:8000:gpt2``, or the
    directory of a trained tokenizer (with a ``/``). The section ``tokenizer`` has the remaining
    settings; ``character`` and ``word`` without a size keep all characters or words."""

    max_bytes: int = 5_000_000
    """Bytes of held-out text to measure each tokenizer on, at most."""

    sentences: tuple[str, ...] = ()
    """Sentences whose tokens are shown; by default some of the held-out text."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "max_bytes")
        require(bool(self.tokenizers), "tokenizers must name at least one, such as bpe:8000")
        require(
            len(set(map(short_name, self.tokenizers))) == len(self.tokenizers),
            f"tokenizers must differ from each other, got {', '.join(self.tokenizers)}",
        )

    def candidates(self, base: TokenizerConfig) -> dict[str, TokenizerConfig | Path]:
        """The tokenizers by short name: a configuration to train, or a directory to load.

        Args:
            base: Settings that a name leaves out.

        Raises:
            ConfigError: If a name has none of the forms of ``tokenizers``.
        """
        return {
            short_name(name): Path(name) if _is_directory(name) else _named_tokenizer(name, base)
            for name in self.tokenizers
        }


def short_name(tokenizer: str) -> str:
    """Short name of a tokenizer: a directory's last part, else the name itself.

    Example:
        >>> short_name("bpe:8000"), short_name("data/tokenizers/tiny-1234")
        ('bpe:8000', 'tiny-1234')
    """
    return Path(tokenizer).name if _is_directory(tokenizer) else tokenizer


def _is_directory(tokenizer: str) -> bool:
    return "/" in tokenizer and tokenizer.partition(":")[0] not in get_args(TokenizerKind)


def _named_tokenizer(name: str, base: TokenizerConfig) -> TokenizerConfig:
    kind, _, rest = name.partition(":")
    size, _, pattern = rest.partition(":")  # a pattern may hold colons itself
    kinds, field = get_args(TokenizerKind), f"comparison.tokenizers: {name}"
    require(kind in kinds, f"{field}: there is no kind {kind!r}; there are {', '.join(kinds)}")
    require(not size or size.isdecimal(), f"{field}: after the colon comes a size, as in bpe:8000")
    default = base.vocab_size or TokenizerConfig().vocab_size
    sized = kind in ("bpe", "sentencepiece-bpe", "unigram")
    try:
        return replace(
            base,
            kind=cast(TokenizerKind, kind),
            vocab_size=int(size) if size else default if sized else None,
            pattern=pattern or base.pattern,
        )
    except ConfigError as error:
        raise ConfigError(f"{field}: {error}") from error
