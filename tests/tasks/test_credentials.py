"""The password is made once, and only its owner can read it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gpt_core.errors import DataError
from tasks.credentials import create_password, make_private, password_file, read_password

CREATED_AT_A_SIGNAL = """
import sys
from tasks.credentials import create_password
print("ready", flush=True)
sys.stdin.readline()
print(create_password(), flush=True)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_password_and_its_folder_are_closed_to_others(home: Path) -> None:
    assert read_password() == ""
    assert not password_file().exists()
    before = os.umask(0)
    try:
        password = create_password()
    finally:
        os.umask(before)
    assert len(password) >= 40
    assert mode(password_file()) == 0o600
    assert mode(password_file().parent) == 0o700
    assert read_password() == create_password() == password


def test_an_open_folder_and_file_are_closed(home: Path) -> None:
    password = create_password()
    password_file().chmod(0o644)
    password_file().parent.chmod(0o755)
    assert create_password() == password
    assert mode(password_file()) == 0o600
    assert mode(password_file().parent) == 0o700


def test_processes_that_start_at_once_agree(home: Path, project_root: Path) -> None:
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", CREATED_AT_A_SIGNAL], cwd=project_root, text=True,
            env={**os.environ, "GPTFLOW_HOME": str(home)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    assert [process.stdout.readline() for process in starting] == ["ready\n"] * 4
    for process in starting:
        process.stdin.write("\n")
        process.stdin.flush()
    assert {process.communicate(timeout=60)[0].strip() for process in starting} == {read_password()}
    assert not list(password_file().parent.glob("*.part"))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe"])
def test_a_damaged_password_is_made_again(home: Path, content: bytes) -> None:
    make_private(password_file().parent)
    password_file().write_bytes(content)
    assert len(create_password()) >= 40


def test_a_home_that_is_a_file_is_named(home: Path) -> None:
    (home / ".prefect").write_text("")
    with pytest.raises(DataError, match=r"\.prefect.* cannot be written"):
        create_password()
