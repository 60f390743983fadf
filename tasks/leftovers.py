"""Remove the temporary files that killed commands left in this home."""

from pathlib import Path

from gpt_core.durable import remove_abandoned
from gpt_core.finished_parts import age_of_kept, is_superseded, list_kept, remove_kept
from tasks.paths import (
    artifact_folders,
    data_dir,
    prefect_dir,
    running_dir,
    tracking_dir,
    unsent_dir,
)


def remove_leftovers() -> None:
    """Remove the temporaries of processes that have ended from the folders of this home."""
    others = (data_dir(), running_dir(), unsent_dir(), tracking_dir(), prefect_dir())
    for folder in (*artifact_folders(), *others):
        remove_abandoned(folder)
    for path in (each for folder in artifact_folders() for each in list_kept(folder)):
        if is_superseded(path):
            remove_kept(path)


def kept_parts(older_than: float) -> list[Path]:
    """The directories in which interrupted stages keep their finished parts.

    Args:
        older_than: Only those to which no part was added for so many seconds.
    """
    found = [path for folder in artifact_folders() for path in list_kept(folder)]
    return [path for path in found if age_of_kept(path) >= older_than]


def remove_kept_parts(paths: list[Path]) -> None:
    """Remove finished parts; the stages begin again."""
    for path in paths:
        remove_kept(path)
