"""The key of the judge, which is no setting: it comes from the environment."""

import os

from gpt_core.errors import ConfigError

KEY = "GPTFLOW_JUDGE_KEY"
"""The environment variable with the key of the judge's address."""


def judge_key() -> str | None:
    """The key of the judge's address, or None.

    It is read where it is used, so that it is in no setting, record or cache key.

    Raises:
        ConfigError: If it cannot be sent in a header.
    """
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"{KEY} must be one line of ASCII characters")
    return key or None
