"""What can be wrong.

GPTCoreError
├── ConfigError      a setting: unknown, of the wrong type, out of range, in conflict with another
├── DataError        a file or a text: missing, empty, damaged, not what its name says
│   └── DownloadError    a file that did not come: trying again may help
├── CheckpointError  saved weights or training state: incomplete, altered, of another model
├── DivergenceError  a loss that is no longer a number
└── ConversionError  somebody else's weights: an unknown layout, a tensor missing or misshapen

Every message is one sentence that says what was expected, what came and what to do; the doors
print it and nothing else. Anything that is not a GPTCoreError is our mistake, not the user's.
"""


class GPTCoreError(Exception):
    """The root of every error that the user can mend."""


class ConfigError(GPTCoreError):
    """A setting that cannot be used."""


class DataError(GPTCoreError):
    """A file or a text that cannot be used."""


class DownloadError(DataError):
    """A file that did not come over the network; trying again may help."""


class CheckpointError(GPTCoreError):
    """Saved weights or training state that cannot be used."""


class DivergenceError(GPTCoreError):
    """A loss that is no longer a number."""


class ConversionError(GPTCoreError):
    """Somebody else's weights that do not fit our model."""
