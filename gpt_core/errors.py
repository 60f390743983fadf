"""The exceptions of the core, one class for each kind of mistake the user can correct.

GPTCoreError
├── ConfigError      a setting: unknown, of the wrong type, out of range, in conflict with another
├── DataError        a file or a text: missing, empty, damaged, not what its name says
│   └── DownloadError    a failed download: trying again may help
├── CheckpointError  saved weights or training state: incomplete, altered, of another model
├── DivergenceError  a loss that is no longer a number
└── ConversionError  weights in another format: an unknown layout, a missing or misshapen tensor

Every message is one sentence: what was expected, what was found and what to do. The commands print
it and nothing else. Every other exception is a bug. Messages end up on terminals, in logs and in
records, so the passwords of addresses in them are hidden.
"""

from gpt_core.redaction import redact


class GPTCoreError(Exception):
    """Base class of every error that the user can correct.

    Args:
        message: One sentence; passwords and tokens of addresses in it are hidden.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))


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


class ConversionError(GPTCoreError):
    """Weights in another format that do not fit the model."""
