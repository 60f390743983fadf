"""The exceptions of the core, one class for each kind of mistake the user can correct.

GPTCoreError
├── ConfigError      a setting: unknown, of the wrong type, out of range, in conflict with another
├── DataError        a file or a text: missing, empty, damaged, not what its name says
│   └── DownloadError    a failed download: trying again may help
├── CheckpointError  saved weights or training state: incomplete, altered, of another model
├── DivergenceError  a loss that is no longer a number
├── LostProcessError  another process of a distributed run that has ended or does not answer
└── ConversionError  weights in another format: an unknown layout, a missing or misshapen tensor

Every message is one sentence: what was expected, what was found and what to do. The commands print
it and nothing else. Every other exception is a bug. Messages end up on terminals, in logs and in
records, so the passwords of addresses in them are hidden.
"""

from gpt_core.redaction import redact

_MAX_CHARACTERS = 1200  # of a message: a forged file may fill it with a name or a value
_KEPT_AT_END = 400


class GPTCoreError(Exception):
    """Base class of every error that the user can correct.

    Its text is one printable line of bounded length, whatever the file that it quotes holds: line
    ends become spaces, control characters and halves of characters are escaped, and the middle of a
    long text is left out.

    Args:
        message: One sentence; passwords and tokens of addresses in it are hidden.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) > _MAX_CHARACTERS:
            text = f"{text[: _MAX_CHARACTERS - _KEPT_AT_END]} … {text[-_KEPT_AT_END:]}"
        if text.isprintable():
            return text
        line = " ".join(text.split())
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class ConfigError(GPTCoreError):
    """A setting that cannot be used."""


class DataError(GPTCoreError):
    """A file or a text that cannot be used."""


class DownloadError(DataError):
    """A failed download; trying again may help."""


class CheckpointError(GPTCoreError):
    """Saved weights or training state that cannot be used."""


class DivergenceError(GPTCoreError):
    """A loss that is no longer a number."""


class LostProcessError(GPTCoreError):
    """Another process of a distributed run has ended or does not answer."""


class ConversionError(GPTCoreError):
    """Weights in another format that do not fit the model."""
