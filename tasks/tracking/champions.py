"""The champion of each registered name: the alias, its history, and how it moves.

The name's tag ``champion.history`` lists the versions that were champions, the present one last.
Callers hold ``promoting``, so that of two promotions none is lost.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from gpt_core.durable import make_directory
from gpt_core.errors import DataError
from tasks.paths import promotion_lock
from tasks.tracking.registry import (
    CHAMPION,
    RegisteredVersion,
    find_version,
    registered_names,
    with_alias,
)
from tasks.tracking.store import client, store_exists

_HISTORY = "champion.history"
_POLL_SECONDS = 0.2


@contextmanager
def promoting(waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the home's lock of promotions; another promotion is waited for.

    Args:
        waiting: Called once if there is another.
    """
    make_directory(promotion_lock().parent)
    lock = FileLock(promotion_lock())
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        waiting()
        held = lock.acquire(poll_interval=_POLL_SECONDS)
    with held:
        yield


def champions() -> list[RegisteredVersion]:
    """The champion of every registered name that has one; what they need must not be deleted."""
    if not store_exists():
        return []
    found = [with_alias(name, CHAMPION) for name in registered_names()]
    return [version for version in found if version is not None]


def champion_of(name: str) -> RegisteredVersion | None:
    """The champion of a registered name, or None."""
    return with_alias(name, CHAMPION)


def crown(version: RegisteredVersion, notes: Mapping[str, str]) -> None:
    """Make a version the champion of its name.

    Args:
        version: The version.
        notes: Tags of the version on how that was decided.
    """
    before = champion_of(version.name)
    kept = _history(version.name)
    if before is not None and before.version not in kept[-1:]:
        kept.append(before.version)  # the alias was moved in MLflow's UI
    _write_tags(version, {**notes, "promoted.at": _now()})
    if before is not None:
        _write_tags(version, {"promoted.instead_of": str(before.version)})
    client().set_registered_model_alias(version.name, CHAMPION, str(version.version))
    _write_history(version.name, [*kept, version.version])


def refuse(version: RegisteredVersion, notes: Mapping[str, str]) -> None:
    """Note on a version that it did not become the champion.

    Args:
        version: The version.
        notes: Tags on why.
    """
    _write_tags(version, {**notes, "refused.at": _now()})


def roll_back(name: str) -> tuple[RegisteredVersion, RegisteredVersion]:
    """Make the champion before the present one the champion again.

    Returns:
        The champion until now, and the present one.

    Raises:
        DataError: If there is no champion, or none before it.
    """
    present = champion_of(name)
    if present is None:
        raise DataError(f"{name} has no champion, so there is nothing to roll back")
    kept = [number for number in _history(name) if number != present.version]
    while kept:
        try:
            earlier = find_version(f"models:/{name}/{kept[-1]}")
        except DataError:
            kept.pop()  # deleted in MLflow
            continue
        _write_tags(present, {"rolled_back.at": _now()})
        client().set_registered_model_alias(name, CHAMPION, str(earlier.version))
        _write_history(name, kept)
        return present, earlier
    raise DataError(
        f"version {present.version} is the only champion that {name} has had: promote another with "
        f"gptflow promote {name}@VERSION"
    )


def _history(name: str) -> list[int]:
    """The versions that were champions, the last one last."""
    text = client().get_registered_model(name).tags.get(_HISTORY, "")
    return [int(number) for number in text.split() if number.isdecimal()]


def _write_history(name: str, versions: list[int]) -> None:
    client().set_registered_model_tag(name, _HISTORY, " ".join(map(str, versions)))


def _write_tags(version: RegisteredVersion, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        client().set_model_version_tag(version.name, str(version.version), key, value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
