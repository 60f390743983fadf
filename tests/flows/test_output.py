"""The command's output on terminals of any encoding, into pipes that close and files."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ARABIC = "في البدء"
PRINTING = f"""
import sys
from flows.output import secure_output
secure_output()
print({ARABIC!a}, "\\udcff", flush=True)
sys.stdin.readline()
for line in range(10_000):
    print("a line of text that fills the pipe", line)
print("trained", file=sys.stderr)
"""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(project_root: Path) -> Start:
    """Starts a Python process with pipes and some variables."""

    def started(arguments: list[str], **variables: str) -> "subprocess.Popen[bytes]":
        unset = ("PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL", "LANG", "PYTHONCOERCECLOCALE")
        own = {k: v for k, v in os.environ.items() if k not in unset}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, *arguments], env={**own, **variables}, cwd=project_root,
            stdin=pipe, stdout=pipe, stderr=pipe,
        )  # fmt: skip

    return started


@pytest.mark.parametrize(
    ("variables", "printed"),
    [
        ({"PYTHONIOENCODING": "utf-8"}, ARABIC.encode()),
        ({"PYTHONIOENCODING": "ascii"}, ARABIC.encode("ascii", "backslashreplace")),
        ({"PYTHONIOENCODING": "ascii:replace"}, b"?? ?????"),
        ({"PYTHONIOENCODING": "cp1256"}, ARABIC.encode("cp1256")),
        (
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            ARABIC.encode("ascii", "backslashreplace"),
        ),
        ({"LC_ALL": "C"}, ARABIC.encode()),
    ],
    ids=str,
)
def test_no_character_is_too_much_for_an_encoding(
    start: Start, variables: dict[str, str], printed: bytes
) -> None:
    out, err = start(["-c", PRINTING], **variables).communicate(b"\n")
    assert out.startswith(printed)
    assert err.decode() == "trained\n"


def test_work_continues_when_the_reader_of_a_pipe_ends(start: Start) -> None:
    process = start(["-c", PRINTING], PYTHONIOENCODING="utf-8")
    assert process.stdout
    assert process.stdin
    process.stdout.readline()
    process.stdout.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.stderr
    with process.stderr as err:
        assert err.read() == b"trained\n"
    assert process.wait() == 0


@pytest.mark.parametrize("command", ["--help", "doctor"])
def test_a_command_whose_output_nobody_reads_ends_quietly(
    start: Start, tmp_path: Path, command: str
) -> None:
    process = start(["-m", "flows", command], GPTFLOW_HOME=str(tmp_path), PREFECT_API_URL="")
    assert process.stdout
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b"")


def test_a_run_whose_output_is_cut_off_makes_what_it_would_have_made(
    cli: Any, start: Start, small: list[str]
) -> None:
    arguments = ["prepare", *small, "tokenizer.kind=byte", "tokenizer.vocab_size=none"]
    variables = {**cli.environment(), "PYTHONIOENCODING": "ascii"}
    process = start(["-m", "flows", *arguments], **variables)
    assert process.stdout
    assert process.stdout.readline()
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert list((cli.home / "data" / "shards").glob("small-*/manifest.json"))
