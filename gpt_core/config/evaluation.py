"""How a model, or a tokenizer, is measured."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from gpt_core.config.checks import require, require_at_least
from gpt_core.config.section import Section
from gpt_core.config.text import TokenizerConfig, TokenizerKind
from gpt_core.errors import ConfigError

Benchmark = Literal["lambada", "hellaswag", "text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig(Section):
    """Loss, perplexity and bits per byte on held-out text, and samples."""

    split: Literal["validation", "test"] = "test"
    """The part of the shards that is read."""

    batch_size: int = 16
    """Samples that go through the model at once."""

    max_tokens: int | None = None
    """Most tokens that are read; None reads all."""

    prompts: tuple[str, ...] = ("",)
    """What the samples go on from; an empty prompt starts a document."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "batch_size", "max_tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkConfig(Section):
    """Checkpoints side by side on public benchmarks, none of which they were tuned on."""

    checkpoints: tuple[str, ...] = ()
    """Directories of checkpoints, or ``gpt2`` for the release in ``gpt2.source``."""

    lambada: str | None = None
    """LAMBADA as JSON lines with ``text``: a path or a named source."""

    hellaswag: str | None = None
    """HellaSwag as JSON lines with ``ctx``, ``endings`` and ``label``: a path."""

    text: str | None = None
    """A text whose perplexity is measured: a path."""

    detokenize: Literal["none", "wikitext"] = "none"
    """``wikitext`` writes the marks of WikiText as usual before it is read; words are counted
    as they were."""

    stride: int = 512
    """Tokens by which the window over the text moves."""

    limit: int | None = None
    """Most questions of each benchmark; None asks all."""

    batch_size: int = 16
    """Questions or windows that go through the model at once."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "stride", "limit", "batch_size")
        require(
            len(self.by_label()) == len(self.checkpoints),
            f"checkpoints must differ from each other, got {', '.join(self.checkpoints)}",
        )

    def by_label(self) -> dict[str, str]:
        """The checkpoints by short names: a directory's last part, or last two if it is a step."""
        return {_label(checkpoint): checkpoint for checkpoint in self.checkpoints}

    def sources(self) -> dict[Benchmark, str]:
        """The benchmarks that are given, by name."""
        given: dict[Benchmark, str | None] = {
            "lambada": self.lambada, "hellaswag": self.hellaswag, "text": self.text
        }  # fmt: skip
        return {name: source for name, source in given.items() if source is not None}


def _label(checkpoint: str) -> str:
    """What a checkpoint is called.

    Example:
        >>> _label("data/checkpoints/tiny-1234/step-00000250/"), _label("gpt2")
        ('tiny-1234/step-00000250', 'gpt2')
    """
    path = Path(checkpoint)
    return "/".join(path.parts[-2:]) if path.name.startswith("step-") else path.name


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonConfig(Section):
    """Tokenizers side by side on one corpus."""

    tokenizers: tuple[str, ...] = (
        "byte", "character", "word", "bpe", "sentencepiece-bpe", "unigram",
    )  # fmt: skip
    """Each a kind, a kind with its size and pattern such as ``bpe:8000`` or ``bpe:8000:gpt2``, or
    the directory of a trained tokenizer (with a ``/``). What is not said is as in the section
    ``tokenizer``; characters and words take all of the text."""

    max_bytes: int = 5_000_000
    """Most bytes of held-out text that each is measured on."""

    sentences: tuple[str, ...] = ()
    """Sentences whose pieces are shown; if none, some of the held-out text."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "max_bytes")
        require(bool(self.tokenizers), "tokenizers must name at least one, such as bpe:8000")
        require(
            len(set(map(short_name, self.tokenizers))) == len(self.tokenizers),
            f"tokenizers must differ from each other, got {', '.join(self.tokenizers)}",
        )

    def candidates(self, base: TokenizerConfig) -> dict[str, TokenizerConfig | Path]:
        """What is to be trained, or loaded, by its short name.

        Args:
            base: The settings that a name does not say.

        Raises:
            ConfigError: If a name is not of the form above.
        """
        return {
            short_name(name): Path(name) if _is_directory(name) else _named_tokenizer(name, base)
            for name in self.tokenizers
        }


def short_name(tokenizer: str) -> str:
    """What a tokenizer of a comparison is called: itself, or the last part of a directory.

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
