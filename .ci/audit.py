"""Compare the packages in ``constraints.txt`` with the database of known vulnerabilities.

Exits with 1 if there is one that ``audit.toml`` does not list, and with 0 if the database cannot be
reached, which says nothing about the packages: a machine without it can still test a change.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = "20"  # seconds for each answer


def ask_database() -> list[dict[str, Any]] | None:
    """Each package with its vulnerabilities, or None if the database does not answer."""
    command = [
        sys.executable, "-m", "pip_audit", f"--requirement={ROOT / 'constraints.txt'}",
        "--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json",
        f"--timeout={TIMEOUT}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return None
    known = [package for package in packages if "vulns" in package]
    return known or None  # an index without the database knows no package


def judge(packages: list[dict[str, Any]] | None, ignored: dict[str, str]) -> tuple[int, list[str]]:
    """The exit code, and lines that say why.

    Args:
        packages: Answers of the database, or None if there are none.
        ignored: Reasons by the names of vulnerabilities.
    """
    if packages is None:
        return 0, ["the database of vulnerabilities is not reachable from here: nothing is checked"]
    lines, found = [], 0
    for package in packages:
        for each in package["vulns"]:
            names = {each["id"], *each.get("aliases", ())}
            reason = next((ignored[name] for name in names if name in ignored), "")
            found += not reason
            fixed = ", ".join(each.get("fix_versions", ())) or "no version"
            line = f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}"
            lines.append(f"{line}; ignored: {reason}" if reason else line)
    return int(bool(found)), [*lines, f"{len(packages)} packages, {found} vulnerabilities"]


def main() -> int:
    """Print the judgement and return the exit code."""
    listed = tomllib.loads((ROOT / ".ci" / "audit.toml").read_text(encoding="utf-8"))
    ignored = {entry["id"]: entry["reason"] for entry in listed.get("ignored", ())}
    code, lines = judge(ask_database(), ignored)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
