"""Remove the temporary files that killed commands left in this home."""

from gpt_core.durable import remove_abandoned
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
