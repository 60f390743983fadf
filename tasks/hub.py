"""Releases of GPT-2 on a model hub: which files of which commit a configuration names.

The revisions of the known sizes are commits, so that they always fetch the same files.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gpt_core.config import GPT2ImportConfig
from gpt_core.errors import ConfigError
from tasks.paths import raw_dir

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubRelease:
    """A revision of a model on a hub."""

    repository: str
    revision: str
    weights_sha256: str = ""
    """SHA-256 of ``model.safetensors``, if known independently of the hub; else empty."""

    @property
    def folder(self) -> Path:
        """Where its files go; slashes in the revision are quoted."""
        revision = self.revision[:12] if _COMMIT.fullmatch(self.revision) else self.revision
        name = f"{self.repository.replace('/', '--')}-{quote(revision, safe='')}"
        return raw_dir() / name


_SIZES = {
    "124M": HubRelease(
        "openai-community/gpt2",
        "607a30d783dfa663caf39e06633721c8d4cfcd7e",
        "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
    ),
    "355M": HubRelease("openai-community/gpt2-medium", "6dcaa7a952f72f9298047fd5137cd6e4f05f41da"),
    "774M": HubRelease("openai-community/gpt2-large", "32b71b12589c2f8d625668d2335a01cac3249519"),
    "1558M": HubRelease(
        "openai-community/gpt2-xl",
        "15ea56dee5df4983c59b2538573817e1667135e2",
        "0f8b28eb05a8075f48b61b6f35332978c74fc7763fa9fb4051a1c30511736a6a",
    ),
}
_NAME = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def release_of(config: GPT2ImportConfig) -> HubRelease | None:
    """The release that a configuration names, or None if it names a directory.

    Raises:
        ConfigError: If a hub's model is not named as OWNER/NAME or OWNER/NAME@REVISION.
    """
    if config.size is not None:
        return _SIZES[config.size]
    if not config.source.startswith("hub:"):
        return None
    named = _NAME.fullmatch(config.source)
    if named is None:
        raise ConfigError(
            f"gpt2.source must be hub:OWNER/NAME or hub:OWNER/NAME@REVISION, got {config.source!r}"
        )
    return HubRelease(named[1], named[2] or "main")
