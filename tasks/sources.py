"""Sources by name or path: found on disk, or fetched from where they are published."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpt_core.artifact import Artifact, fingerprint_of
from gpt_core.config import Benchmark, RunConfig
from gpt_core.download import download
from gpt_core.errors import ConfigError, DataError
from gpt_core.files import Progress, sha256_file
from gpt_core.text import register_source, source_files
from tasks.hub import release_of
from tasks.paths import artifact_dir, data_dir, samples_dir, sources_file

Role = Literal["text", "classification", "instruction"] | Benchmark
_SAMPLES: dict[Role, str] = {
    "text": "text",
    "classification": "messages.tsv",
    "instruction": "instructions.json",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicSource:
    """An entry of ``data/sources.toml``."""

    title: str
    file: str
    sha256: str
    bytes: int
    licence: str
    url: str = ""
    """Empty for a text that is not published as one file."""


def find_source(name: str, role: Role) -> Path | PublicSource:
    """A path, or the public source of that name.

    Raises:
        ConfigError: If it is neither.
    """
    if name == "samples" and role in _SAMPLES:
        return samples_dir() / _SAMPLES[role]
    path = Path(name).expanduser()
    if path.exists():
        return path.resolve()
    sources = public_sources()
    if name in sources:
        return sources[name]
    raise ConfigError(
        f"the source {name!r} is neither a file or folder nor a named source: there are samples, "
        f"{', '.join(sources)}"
    )


def sources_of(config: RunConfig, flow: str) -> list[tuple[str, Role]]:
    """The sources that a flow reads, and what it reads them as."""
    if flow == "compare-tokenizers":
        return [(config.source, "text")]
    released = reads_release(config, flow)
    from_disk = released and release_of(config.gpt2) is None
    sources: list[tuple[str, Role]] = [(config.gpt2.source, "text")] if from_disk else []
    if flow == "compare-models":
        given = config.benchmarks.sources()
        return sources + [(source, name) for name, source in given.items()]
    if flow == "import-gpt2":
        return sources
    if config.checkpoint is None or flow in ("run", "prepare", "pretrain", "evaluate"):
        sources.append((config.source, "text"))
    if flow in ("run", "classify"):
        sources.append((config.classification.source, "classification"))
    if flow in ("run", "instruct"):
        sources.append((config.instruction.source, "instruction"))
    return sources


def reads_release(config: RunConfig, flow: str) -> bool:
    """Whether a flow imports the release in ``gpt2.source``."""
    if flow == "compare-models":
        return "gpt2" in config.benchmarks.checkpoints
    return flow == "import-gpt2" or (config.checkpoint == "gpt2" and flow != "compare-tokenizers")


def check_sources(config: RunConfig, flow: str) -> None:
    """Find what a flow will read, before anything starts.

    Raises:
        ConfigError: If a source is neither a path nor a known name.
        DataError: If a source has nothing to read, or must first be put into its place.
    """
    for name, role in sources_of(config, flow):
        found = find_source(name, role)
        if isinstance(found, PublicSource):
            if not found.url and not placed_file(name, found).is_file():
                raise DataError(f"{name} is not published as one file: {_by_hand(name, found)}")
        elif not any(file.stat().st_size for file in source_files(found)):
            raise DataError(f"{found} is empty: there is nothing to read")


def public_sources() -> dict[str, PublicSource]:
    """The named sources."""
    entries = tomllib.loads(sources_file().read_text(encoding="utf-8"))
    return {name: PublicSource(**entry) for name, entry in entries.items()}


def placed_file(name: str, source: PublicSource) -> Path:
    """Where the file of a public source lies, once it is fetched or put there by hand."""
    return data_dir() / "raw" / name / source.file


def fetch_source(
    name: str, role: Role, companion: str | None = None, progress: Progress | None = None
) -> Artifact:
    """A source as a raw artifact, recorded anew every time, for its file may have changed.

    Args:
        name: ``samples``, a path, or a name in ``data/sources.toml``.
        role: What it is read as.
        companion: A file beside it that says how it is read.
        progress: Told of ``bytes`` downloaded.

    Raises:
        ConfigError: If there is no such source.
        DataError: If it is empty or is not what was published.
        DownloadError: If it did not come, which trying again may mend.
    """
    found = find_source(name, role)
    is_public = isinstance(found, PublicSource)
    path = _fetch_public(name, found, progress) if isinstance(found, PublicSource) else found
    label = name if is_public else path.stem
    out_dir = artifact_dir("raw", label, fingerprint_of(str(path)))
    return register_source(path, out_dir, companion=companion)


def _fetch_public(name: str, source: PublicSource, progress: Progress | None) -> Path:
    """The checked file of a public source, downloaded if it is not there."""
    file = placed_file(name, source)
    by_hand = _by_hand(name, source)
    if not file.is_file() and not source.url:
        raise DataError(f"{name} is not published as one file: {by_hand}")
    if not file.is_file():
        try:
            download(source.url, file, sha256=source.sha256, size=source.bytes, progress=progress)
        except DataError as error:
            raise type(error)(f"{error}; {by_hand}") from error
    if sha256_file(file) != source.sha256:
        raise DataError(f"{file} is not {source.title} as published: delete it, then {by_hand}")
    return file


def _by_hand(name: str, source: PublicSource) -> str:
    return (
        f"put {source.title} ({source.bytes:,} bytes, sha256 {source.sha256}) at "
        f"{placed_file(name, source)} or give a path"
    )
