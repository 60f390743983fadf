"""The commit of the code that runs, for the records of runs and the versions of deployments."""

import os
import subprocess
from functools import cache

from tasks.paths import checkout


@cache
def current_commit() -> str:
    """The checkout's commit, or ``GPTFLOW_COMMIT``, which an image is built with; else empty."""
    return os.environ.get("GPTFLOW_COMMIT", "") or _git("rev-parse", "HEAD")


def short_commit() -> str:
    """The commit with ten digits, and ``-dirty`` if the checkout has other changes."""
    short = current_commit()[:10]
    changed = (
        short and not os.environ.get("GPTFLOW_COMMIT") and _git("status", "--porcelain", "-uno")
    )
    return f"{short}-dirty" if changed else short


def _git(*arguments: str) -> str:
    try:
        found = subprocess.run(
            ["git", *arguments], cwd=checkout(), capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
