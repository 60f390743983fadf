"""Commands that are no flows answer mistakes in one sentence, and write nothing."""

from typing import Any

MISTAKES = [
    (["generate", "one", "two"], r"one prompt is expected, put it in quotes; there are 2"),
    (["generate", "heat=1", "prompt"], r"no setting generation\.heat"),
    (["generate", "prompt"], r"no language model yet: make one with gptflow run"),
    (["generate", "--instruct", "prompt"], r"no model tuned on instructions yet: .*flow instruct"),
    (["generate", "--instruct", "--checkpoint", "x", "prompt"], r"it goes without --checkpoint"),
    (["generate", "--checkpoint", "none", "prompt"], r"none is not a directory"),
    (["submit", "fly"], r"there is no flow 'fly'; there are run, prepare"),
    (["submit", "run"], r"start gptflow up first"),
    (["up", "--cron", "daily"], r"--cron must be minute, hour, day, month and weekday"),
    (["compare", "one"], r"at least two runs"),
    (["lineage", "--as", "xml", "x"], r"'xml' is not one of 'tree', 'json', 'mermaid', 'picture'"),
]


def test_a_mistake_is_one_sentence_and_code_2(cli: Any) -> None:
    assert cli.answers_other_than(MISTAKES) == []
    assert not cli.home.exists()


def test_nothing_runs_in_an_empty_home(cli: Any) -> None:
    answer = cli.run("down")
    assert (answer.code, answer.out) == (0, f"nothing runs in {cli.home}\n")


def test_doctor_says_what_there_is_line_by_line(cli: Any) -> None:
    answer = cli.run("doctor")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert all(line[0] in "✓✗-" for line in lines)
    named = {line.split()[1] for line in lines}
    assert {"Python", "torch", "device", "memory", "disk", "models"} <= named
    assert not cli.home.exists()
