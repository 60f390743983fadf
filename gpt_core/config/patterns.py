"""Check a user's split pattern: every engine that will read it must cut text in the same way.

Training uses Python's ``regex``, encoding the Rust engine of tiktoken, a release that of
``tokenizers``. They share most of their syntax, not all of it: ``[[:alpha:]]`` means all letters to
one and those of ASCII to another.
"""

import importlib
import re
import warnings
from functools import lru_cache
from itertools import accumulate

from gpt_core.errors import ConfigError

NAMED_PATTERNS = ("gpt2", "gpt4", "marks")
"""Names of the patterns in ``gpt_core.tokenizers.split_patterns``."""

_MAX_CHARACTERS = 4096  # of an expression
_SECONDS = 2.0  # for the sentences below, which take a sane expression microseconds
_PROPERTY = re.compile(r"(?<!\\)((?:\\\\)*)\\[pP](?:\{\^?[\w =]+\}|[A-Z])")
SENTENCES = (
    "It's 12,345.67 o'clock: I'LL (not) go...  x_1\n\n  y\r\n",
    "قُلْ هُوَ ٱللَّهُ أَحَدٌ ١٢٣ ـــ ؟ «نعم»",
    "a\tb \u00a0c\u3000d  \n e\u2028f \x0b \x85 got\n",
    "Straße ǅ ſt K漢字かな가 é e\u0301 👩\u200d👦 🇦🇪",
    "[:alpha:] ]^-\\&&~~||--{2,3} $a.b* #c @d <e> =f\n",
)
"""Text of many kinds, by which the engines are compared."""


def complete_pattern(expression: str) -> str:
    """The expression, and after it any character that it does not match, as a piece of its own."""
    return rf"(?:{expression})|[\s\S]"


@lru_cache(maxsize=64)
def require_pattern(expression: str) -> None:
    """Check a regular expression that cuts text into pieces.

    Raises:
        ConfigError: If an engine cannot read it, it can match the empty text, or two engines cut
            the same text in different ways.
    """
    named = ", ".join(NAMED_PATTERNS)
    if len(expression) > _MAX_CHARACTERS:
        raise ConfigError(f"tokenizer.pattern must have at most {_MAX_CHARACTERS} characters")
    import regex  # these two take longer to import than all of this package
    import tiktoken

    try:
        regex.compile(expression)  # by itself first: an error names the place in it
        compiled = regex.compile(complete_pattern(expression))
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"tokenizer.pattern is neither {named} nor a regular expression: {error}"
        ) from error
    if _min_width(expression) == 0:
        raise ConfigError(
            f"tokenizer.pattern={expression!r} matches the empty text, which cuts nothing and "
            "loses what follows: use + in place of *, and no alternative of look-arounds alone"
        )
    parts = {part.encode() for text in SENTENCES for part in _substrings(text)}
    ranks = {part: rank for rank, part in enumerate(sorted(parts | _BYTES))}
    try:
        encoding = tiktoken.Encoding(
            "pattern",
            pat_str=complete_pattern(expression),
            mergeable_ranks=ranks,
            special_tokens={},
        )
    except ValueError as error:
        raise ConfigError(
            f"tokenizer.pattern={expression!r} cannot be read by tiktoken, which encodes: {error}"
        ) from error
    for text in SENTENCES:
        try:
            ours = [match[0] for match in compiled.finditer(text, timeout=_SECONDS)]
        except TimeoutError as error:
            raise ConfigError(
                f"tokenizer.pattern={expression!r} takes seconds for a sentence: avoid nested "
                "repetitions such as (a+)+"
            ) from error
        theirs = encoding.decode_tokens_bytes(encoding.encode_ordinary(text))
        _require_equal(expression, ours, [part.decode(errors="replace") for part in theirs])


_BYTES = frozenset(bytes([byte]) for byte in range(256))


def _require_equal(expression: str, ours: list[str], theirs: list[str]) -> None:
    if ours != theirs:
        ends = set(accumulate(map(len, ours))) ^ set(accumulate(map(len, theirs)))
        place, text = min(ends, default=0), "".join(ours)
        raise ConfigError(
            f"tokenizer.pattern={expression!r} is read in two ways: Python's regex and tiktoken "
            f"cut {text[max(0, place - 8) : place + 8]!r} at different places; write classes with "
            r"\p{L}, \p{M}, \p{N} and the like"
        )


def _substrings(text: str) -> set[str]:
    """Every part of a text, so that tiktoken has a token for each piece that a pattern may cut."""
    ends = range(1, len(text) + 1)
    return {text[start:end] for end in ends for start in range(end)}


def _min_width(expression: str) -> int:
    """The length of the shortest text that an expression matches, in characters.

    Raises:
        ConfigError: If it has syntax that only some engines know.
    """
    parser = importlib.import_module("re._parser")  # no public function says that
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of what another engine takes for nested sets
            plain = _PROPERTY.sub(r"\1\\w", expression)
            return int(parser.parse(plain).getwidth()[0])
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise ConfigError(
            f"tokenizer.pattern={expression!r} has syntax that engines read differently ({error}): "
            r"use groups, | ? + * {} (?=) (?!), classes such as [^\s\p{L}] and the letters \p{L}"
        ) from error
