"""Limits of what a file from elsewhere may take, checked before memory is taken for it.

A limit refuses a file or lets it through. It changes no result, so stages do not depend on it:
it is set for a block and read where a file is opened, instead of being passed on.

No setting changes the limits that no honest file reaches: numbers of more than 4,300 digits, JSON
nested deeper than Python's stack, JSON settings and vocabularies of more than 256 MiB, names in
archives, weights and manifests that no file system could store, indexes of TensorFlow checkpoints
of more than 64 MiB, and vocabularies of more than 16 million tokens. A model is never larger than
its weights file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from gpt_core.config.checks import require_at_least, require_at_most, require_positive
from gpt_core.config.section import Section

_LARGEST = 1 << 48  # of anything that is counted; the readers' libraries take no 64 bits


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitsConfig(Section):
    """Sizes at which a file is refused; results do not depend on them."""

    unpacked_ratio: int = 100
    """gz, zst, zip, EPUB, Parquet, Arrow: unpacked bytes for each packed byte, beyond the first
    64 MiB. Text shrinks to a third, repetitive logs to a thirtieth of their size."""

    line_characters: int = 1 << 26
    """Characters in a line of a table or of JSON lines, which is one record; bytes in a page of
    HTML or of a web archive."""

    cell_characters: int = 1 << 24
    """Characters in a field of a CSV or TSV table."""

    array_characters: int = 1 << 29
    """Characters in a JSON array, which is read at once and takes several times its size; bytes in
    a batch of an Arrow file."""

    document_characters: int = 1 << 28
    """Characters in a document that a table of boundaries cuts out, see ``reading.boundaries``."""

    blank_rows: float = 0.1
    """Fraction of a file's examples that may lack a text, label, instruction or answer and are left
    out; if there are more, another column may be meant."""

    memory_gib: float | None = None
    """Memory in GiB that the weights of a model may take; None is all that this machine has."""

    def __post_init__(self) -> None:
        counted = (
            "unpacked_ratio",
            "line_characters",
            "cell_characters",
            "array_characters",
            "document_characters",
        )
        require_at_least(self, 1, *counted)
        require_at_most(self, _LARGEST, *counted, "memory_gib")
        require_positive(self, "memory_gib")
        require_at_least(self, 0, "blank_rows")
        require_at_most(self, 1, "blank_rows")


_LIMITS: ContextVar[LimitsConfig | None] = ContextVar("limits", default=None)


def current_limits() -> LimitsConfig:
    """The limits of the block that is running, or the defaults."""
    return _LIMITS.get() or LimitsConfig()


@contextmanager
def use_limits(limits: LimitsConfig) -> Iterator[None]:
    """Set the limits of a block."""
    token = _LIMITS.set(limits)
    try:
        yield
    finally:
        _LIMITS.reset(token)
