"""Install the project into the environment that runs this script: with uv, or with pip without it.

Run it as ``.venv/bin/python .ci/install.py [EXTRA]``. uv resolves and unpacks several times as fast
as pip. It comes as a wheel from the same package index and gets pip's own settings (``PIP_...`` and
pip's configuration files: indexes, find-links, constraints, certificates, proxy), unless its own
variables (``UV_...``) say something else. Modules are compiled when they are first imported, which
makes the first run sooner than compiling all 18,000 of them (50 s of CPU time), unless Python is
kept from writing bytecode, when every process would compile again.

Every file that is fetched has a hash in ``hashes.txt``, for all platforms, and one with another
hash is refused: uv takes the hashes as constraints, and pip gets a list of exactly what it would
install. Only what ``hashes.txt`` does not name is not checked: with uv that is let through, since
another platform may need more, with pip it is refused.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
HASHES = ROOT / ".ci" / "hashes.txt"
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


def read_hashes(text: str) -> dict[str, set[str]]:
    """The SHA-256 hashes of each package in a file of hashes, by its normalized name."""
    hashes: dict[str, set[str]] = {}
    for entry in re.split(r"\n(?=\S)", text):
        name = re.match(r"[\w.-]+(?===)", entry)
        if name:
            found = re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)
            hashes.setdefault(normalized(name[0]), set()).update(found)
    return hashes


def normalized(name: str) -> str:
    """A package's name in the form in which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def install(extra: str) -> int:
    """Install the project in editable form with an extra; the exit code of pip if uv fails."""
    target = ["--editable", f"{ROOT}[{extra}]" if extra else str(ROOT)]
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False)
    settings = pip_settings(listed.stdout)
    environment = uv_environment(settings, os.environ)

    got_uv = install_tools("setuptools", "uv")
    command = [
        *UV, "install", *quiet, "--python", sys.executable, *uv_arguments(settings),
        f"--constraint={HASHES}", "--no-build-isolation-package=gptflow", *target,
    ]  # fmt: skip
    if got_uv and _runs(command, environment):
        return 0
    print("uv is not available or failed; installing with pip, which takes longer", file=sys.stderr)
    return install_with_pip(target)


def install_tools(*names: str) -> bool:
    """Install packages without dependencies by their hashes; whether that succeeded."""
    entries = re.split(r"\n(?=\S)", HASHES.read_text(encoding="utf-8"))
    wanted = [entry for entry in entries if entry.partition("==")[0] in names]
    return _install_listed("\n".join(wanted))


def install_with_pip(target: list[str]) -> int:
    """Let pip say what it would install, refuse what has no known hash, and install that.

    Returns:
        pip's exit code, or 1 if something is refused.
    """
    if not install_tools("setuptools"):
        return 1
    constrained = ["--no-build-isolation", f"--constraint={CONSTRAINTS}", *target]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        asked = [*PIP, "install", "--quiet", "--dry-run", f"--report={report}", *constrained]
        if not _runs(asked):
            return 1
        content = json.loads(report.read_text(encoding="utf-8"))
    known = read_hashes(HASHES.read_text(encoding="utf-8"))
    lines, refused = [], []
    for item in content["install"]:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        archive = item["download_info"].get("archive_info")
        if archive is None:
            continue  # the checkout itself
        sha256 = archive.get("hashes", {}).get("sha256", "")
        if sha256 not in known.get(normalized(name), ()):
            refused.append(f"{name} {version} ({item['download_info']['url']})")
        lines.append(f"{name}=={version} --hash=sha256:{sha256}")
    if refused:
        print(f"the hash is not in {HASHES.name}: {', '.join(refused)}", file=sys.stderr)
        return 1
    if not _install_listed("\n".join(lines)):
        return 1
    command = [*PIP, "install", "--quiet", "--no-build-isolation", "--no-deps", *target]
    return subprocess.run(command, check=False).returncode


def _install_listed(requirements: str) -> bool:
    """Install exactly what is listed with its hashes."""
    if not requirements:
        return True
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(requirements + "\n", encoding="utf-8")
        return _runs(
            [*PIP, "install", "-qq", "--require-hashes", "--no-deps", f"--requirement={file}"]
        )


def _runs(command: list[str], environment: Mapping[str, str] | None = None) -> bool:
    return subprocess.run(command, env=environment, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(install(" ".join(sys.argv[1:])))
