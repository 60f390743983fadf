"""Write ``hashes.txt``: the hashes of every file that an installation may fetch.

Run it as ``make lock`` after a change of ``constraints.txt``. It asks PyPI, or the index in
``UV_DEFAULT_INDEX``, for the files of each version, on all platforms; what comes from elsewhere is
listed here by hand.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HASHES = ROOT / ".ci" / "hashes.txt"
TOOLS = "setuptools\nuv\n"
PYTHON = "3.11"

# torch's CPU builds, which are on torch's own index and not on PyPI.
ELSEWHERE = {
    "torch": [
        # torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl
        "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
    ],
}
HEADER = "# Written by make lock: the files that .ci/install.py may fetch.\n"


def lock() -> str:
    """The pinned packages with their hashes, in the form of a file of constraints."""
    command = [
        sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal",
        f"--python-version={PYTHON}", "--generate-hashes", "--no-header", "--no-annotate",
        "--all-extras", f"--constraint={ROOT / 'constraints.txt'}",
        str(ROOT / "pyproject.toml"), "-",
    ]  # fmt: skip
    kept = {k: v for k, v in os.environ.items() if k not in ("UV_FIND_LINKS", "UV_INDEX")}
    compiled = subprocess.run(
        command, input=TOOLS, env=kept, capture_output=True, text=True, check=True
    ).stdout
    for name, hashes in ELSEWHERE.items():
        more = "".join(f"    --hash=sha256:{each} \\\n" for each in hashes)
        first = re.search(rf"(?m)^{name}==.*\n", compiled)
        if first is None:
            raise SystemExit(f"{name} is not among the packages")
        compiled = compiled[: first.end()] + more + compiled[first.end() :]
    return HEADER + compiled


if __name__ == "__main__":
    HASHES.write_text(lock(), encoding="utf-8")
