"""``compose.yaml`` opens ports on this machine only, and takes every secret from its environment.

``tests/security/test_databases.py`` runs its servers.
"""

import re
from pathlib import Path

from installation import read_compose


def test_ports_are_on_this_machine_only(project_root: Path) -> None:
    services = read_compose(project_root)["services"]
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports == ["127.0.0.1:4200:4200", "127.0.0.1:5000:5000"]


def test_every_secret_is_a_variable_of_the_example(project_root: Path) -> None:
    example = (project_root / "compose.env.example").read_text("utf-8")
    listed = re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE)
    text = (project_root / "compose.yaml").read_text("utf-8")
    assert {name for name, _ in listed} == set(re.findall(r"\$\{(\w+):\?", text))
    assert "${" not in re.sub(r"\$\{\w+:\?[^}]+\}", "", text), "a variable without :? may be empty"
    assert {value for _, value in listed} == {""}
    for service in read_compose(project_root)["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|ACCESS_KEY|AUTH_STRING", name):
                assert value.startswith("${"), name


def test_git_ignores_the_secrets(project_root: Path) -> None:
    assert "/.env" in (project_root / ".gitignore").read_text("utf-8").splitlines()
