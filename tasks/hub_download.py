"""Download a release from a model hub with the hub's own library, and verify every file.

The hub lists the SHA-256 of each large file and git's hash of each small one; both are computed
again from the downloaded bytes.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Container, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from tqdm import tqdm

from gpt_core.errors import (
    ConfigError,
    ConversionError,
    DataError,
    DownloadError,
    GPTCoreError,
)
from gpt_core.files import Progress, sha256_file
from gpt_core.interop.weight_files import WEIGHTS, WEIGHTS_INDEX, weight_files
from tasks.hub import HubRelease
from tasks.hub_access import open_hub

_CONFIG, _VOCABULARY, _ONE_FILE = "config.json", ("vocab.json", "merges.txt"), "tokenizer.json"
T = TypeVar("T")

_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


def fetch_release(
    release: HubRelease, mirrors: Sequence[str], progress: Progress | None = None
) -> Path:
    """Fetch a release's files into its folder, except those that are already there.

    Args:
        release: What to fetch.
        mirrors: Hubs that are tried in turn, until one has all files.
        progress: Receives ``bytes``.

    Returns:
        The folder.

    Raises:
        DownloadError: If a hub does not answer and none has all files, so that another try may
            succeed; the message names what to put where by hand.
        DataError: If a file is not what the hub says it is, or there are no weights.
        ConfigError: If no hub has such a model or revision.
    """
    folder = release.folder
    failures: list[GPTCoreError] = []
    for mirror in mirrors:
        try:
            _fetch_from(mirror, release, folder, progress)
        except (ConfigError, DataError) as error:
            failures.append(error)
            continue
        return folder
    if _is_complete(folder):  # fetched before, and there is no network now
        return folder
    again = [failure for failure in failures if isinstance(failure, DownloadError)]
    raise type([*failures, *again][-1])(
        f"{release.repository} could not be fetched ({'; '.join(map(str, failures))}): put "
        f"{WEIGHTS}, {_CONFIG}, {', '.join(_VOCABULARY)} into a folder and give it as gpt2.source"
    )


def _fetch_from(mirror: str, release: HubRelease, folder: Path, progress: Progress | None) -> None:
    api = open_hub(mirror)
    asked = (release.repository, release.revision)
    listed = _call(
        mirror, lambda: list(api.list_repo_tree(release.repository, revision=release.revision))
    )
    files = {file.path: file for file in listed if isinstance(file, RepoFile)}
    wanted = _wanted(files)
    if not any(name.endswith(".safetensors") for name in wanted):
        raise DataError(f"{mirror} has no safetensors of {asked[0]} at {asked[1]}")
    bar = _progress_class(progress, sum(files[name].size for name in wanted))
    for name in wanted:
        path = folder / name
        if not (path.is_file() and _matches(path, files[name], release)):
            path.unlink(missing_ok=True)
            ask = partial(api.hf_hub_download, release.repository, name)
            _call(mirror, partial(ask, revision=release.revision, local_dir=folder, tqdm_class=bar))
        if not _matches(path, files[name], release):
            path.unlink(missing_ok=True)
            raise DataError(f"{mirror} sent another {name} of {asked[0]} than it lists")


def _wanted(names: Collection[str]) -> list[str]:
    """The files that an import reads: the weights in one file or in shards, config, vocabulary."""
    weights = [WEIGHTS] if WEIGHTS in names else [
        name for name in names if name == WEIGHTS_INDEX or _SHARD.fullmatch(name)
    ]  # fmt: skip
    return [*(name for name in _config_and_vocabulary(names) if name in names), *sorted(weights)]


def _config_and_vocabulary(names: Container[str]) -> list[str]:
    """The configuration and the vocabulary, which is stored in two files or in one."""
    two = all(name in names for name in _VOCABULARY)
    return [_CONFIG, *(_VOCABULARY if two or _ONE_FILE not in names else (_ONE_FILE,))]


def _is_complete(folder: Path) -> bool:
    try:
        weight_files(folder)
    except ConversionError:
        return False
    there = {file.name for file in folder.iterdir()}
    return all(name in there for name in _config_and_vocabulary(there))


def _matches(path: Path, file: RepoFile, release: HubRelease) -> bool:
    """Whether a file has the size and hash that the hub lists and the hash that is known."""
    if path.stat().st_size != file.size:
        return False
    if file.lfs is None:
        content = path.read_bytes()
        git_hash = hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False)
        return git_hash.hexdigest() == str(file.blob_id)
    known = release.weights_sha256 if path.name == WEIGHTS else ""
    return sha256_file(path) in {file.lfs.sha256} & {known or file.lfs.sha256}


def _call(mirror: str, ask: Callable[[], T]) -> T:
    """Call a hub and translate the errors of its library into one sentence.

    Raises:
        ConfigError: If there is no such model or revision.
        DownloadError: If the hub does not answer as it should; another try may succeed.
    """
    try:
        return ask()
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ConfigError(f"{mirror} has no such model or revision, or it is not public") from error
    except Exception as error:  # the library's transport has errors of several kinds
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise DownloadError(f"{mirror}: {first[0]}") from error


def _progress_class(progress: Progress | None, total: int) -> type:
    """A ``tqdm`` class that draws nothing and reports the bytes downloaded of all files."""
    done = 0

    class SilentProgress(tqdm):  # type: ignore[type-arg]
        """Adds up the bytes of all files."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal done
            done += int(n or 0)
            if progress is not None:
                progress("bytes", done, total)
            return None

    return SilentProgress
