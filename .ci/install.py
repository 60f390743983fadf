"""Install the project into the environment that runs this script: with uv, or with pip without it.

Run it as ``.venv/bin/python .ci/install.py [EXTRA]``. uv resolves and unpacks several times as fast
as pip. It comes as a wheel from the same package index and gets pip's own settings (``PIP_...`` and
pip's configuration files: indexes, find-links, constraints, certificates, proxy), unless its own
variables (``UV_...``) say something else. Modules are compiled when they are first imported, which
makes the first run sooner than compiling all 18,000 of them (50 s of CPU time), unless Python is
kept from writing bytecode, when every process would compile again.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
UV = [sys.executable, "-m", "uv", "pip"]

# pip's settings, uv's variable of the same meaning, and what separates its values.
VARIABLES = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
}


def pip_settings(listed: str) -> dict[str, str]:
    """Settings of pip for an installation, from the lines of ``pip config list``.

    As in pip, a setting of the command replaces the global one, and a variable replaces both.
    """
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        name, separator, value = line.partition("=")
        section, _, key = name.strip().rpartition(".")
        if separator and section in sections:
            key = {"default-timeout": "timeout"}.get(key, key)
            sections[section][key] = str(ast.literal_eval(value.strip()))
    return sections["global"] | sections["install"] | sections[":env:"]


def uv_environment(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with pip's settings as uv's variables; those that are set stay."""
    translated = {
        variable: separator.join(settings[key].split())
        for key, (variable, separator) in VARIABLES.items()
        if key in settings
    }
    # pip chooses among all indexes; uv by itself takes the first that has the package at all.
    defaults = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    if environment.get("PYTHONDONTWRITEBYTECODE"):
        defaults["UV_COMPILE_BYTECODE"] = "1"
    return defaults | translated | dict(environment)


def uv_arguments(settings: Mapping[str, str]) -> list[str]:
    """The settings that uv takes as arguments only."""
    arguments = [f"--constraint={file}" for file in settings.get("constraint", "").split()]
    if settings.get("no-index", "no").lower() in ("1", "true", "yes", "on"):
        arguments.append("--no-index")
    return arguments


def install(extra: str) -> int:
    """Install the project in editable form with an extra; the exit code of pip if uv fails."""
    target = [
        f"--constraint={CONSTRAINTS}",
        "--editable",
        f"{ROOT}[{extra}]" if extra else str(ROOT),
    ]
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False)
    settings = pip_settings(listed.stdout)
    environment = uv_environment(settings, os.environ)

    got_uv = _runs([*PIP, "install", "-qq", f"--constraint={CONSTRAINTS}", "uv"])
    command = [*UV, "install", *quiet, "--python", sys.executable, *uv_arguments(settings), *target]
    if got_uv and _runs(command, environment):
        return 0
    print("uv is not available or failed; installing with pip, which takes longer", file=sys.stderr)
    return subprocess.run([*PIP, "install", "--quiet", *target], check=False).returncode


def _runs(command: list[str], environment: Mapping[str, str] | None = None) -> bool:
    return subprocess.run(command, env=environment, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(install(" ".join(sys.argv[1:])))
