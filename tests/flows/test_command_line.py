"""Help and mistakes are answered at once, in one sentence, with nothing written."""

from pathlib import Path
from typing import Any

import pytest

import gpt_core

HEAVY = ("torch", "numpy", "pyarrow", "prefect", "mlflow", "rich.progress")
LOADED = """
import sys
from flows.__main__ import main
sys.argv = ["gptflow", *{arguments!r}]
try:
    main()
finally:
    print("LOADED", *[name for name in {heavy!r} if name in sys.modules])
"""

MISTAKES = [
    (["run", "training.stepss=5"], r"training\.stepss; did you mean training\.steps\?"),
    (["run", "training.steps=many"], r"training\.steps must be a whole number, got 'many'"),
    (["run", "training.steps=0"], r"training\.steps must be at least 1, got 0"),
    (["run", "model.n_embd=130"], r"model\.n_embd \(130\) must be a multiple of"),
    (["run", "--preset", "huge"], r"no preset 'huge'; there are tiny"),
    (["run", "--config", "no.toml"], r"no\.toml does not exist"),
    (["run", "--preset"], r"--preset"),
    (["fly"], r"No such command 'fly'"),
    (["run", "source=no/such.txt"], r"'no/such\.txt' is neither a file or folder nor a named"),
    (["run", "classification.source=nowhere"], r"'nowhere' is neither"),
    (["run", "instruction.source=nowhere"], r"'nowhere' is neither"),
    (
        ["run", "checkpoint=nowhere"],
        r"nowhere is not a directory, so it cannot be a checkpoint",
    ),
    (
        ["import-gpt2", "gpt2.source=nowhere"],
        r"gpt2\.source must be a directory .* got 'nowhere'",
    ),
    (["run", "source=bukhari"], r"bukhari is not published as one file: put .* at "),
]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["run", "training.stepss=5"],
        ["generate", "a=b=c d", "e f"],
    ],
)
def test_help_and_a_wrong_setting_import_nothing_heavy(cli: Any, arguments: list[str]) -> None:
    answer = cli.run_script(LOADED.format(arguments=arguments, heavy=HEAVY))
    assert answer.out.splitlines()[-1] == "LOADED"
    assert not cli.home.exists()


def test_version_is_that_of_the_package(cli: Any) -> None:
    answer = cli.run("--version")
    assert (answer.code, answer.out) == (0, f"gptflow {gpt_core.__version__}\n")


def test_help_names_every_command(cli: Any) -> None:
    answer = cli.run("--help")
    assert answer.code == 0
    flows = [
        "run",
        "prepare",
        "compare-tokenizers",
        "pretrain",
        "import-gpt2",
        "evaluate",
        "classify",
        "instruct",
    ]
    others = ["generate", "up", "submit", "lineage", "compare", "down", "doctor"]
    assert all(f" {name} " in answer.out for name in [*flows, *others])


def test_a_mistake_is_one_sentence_and_code_2(cli: Any) -> None:
    assert cli.answers_other_than(MISTAKES) == []
    assert not cli.home.exists()


def test_a_setting_that_a_flow_does_not_read_is_named(cli: Any) -> None:
    answers = cli.run_several(
        [["pretrain", *settings, "source=nowhere"] for settings in (["lora.rank=2"], ["name=me"])]
    )
    assert answers[0].out == "without effect, because pretrain does not read it: lora.rank=2\n"
    assert answers[1].out == ""


def test_an_empty_file_is_refused_before_anything_starts(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    answer = cli.run("run", f"source={tmp_path / 'empty.txt'}")
    assert "empty.txt is empty: there is nothing to read" in answer.user_error()
    assert not cli.home.exists()


def test_a_folder_that_cannot_be_written_is_refused_before_anything_starts(cli: Any) -> None:
    cli.home.write_text("a file where the folder should be")
    assert "cannot be written" in cli.run("run").user_error()
    assert cli.home.read_text() == "a file where the folder should be"


def test_a_table_without_the_column_is_refused_before_pretraining(cli: Any, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("message,kind\nhello,ham\nwin a prize,spam\n")
    answer = cli.run("run", "--dry-run", f"classification.source={table}")
    assert "has no column 'text'; it has message, kind" in answer.user_error()
    assert not cli.home.exists()


def test_the_plan_says_what_a_run_would_do_and_does_nothing(cli: Any) -> None:
    answer = cli.run("run", "--dry-run")
    assert answer.code == 0, answer.err
    assert answer.err == ""
    for stage in ("clean_corpus", "train_tokenizer", "encode_corpus", "pretrain"):
        assert f"{stage} " in answer.out
    assert answer.out.count("to do") == 9
    for figure in ("parameters", "tokens", "floating-point", "processes", "memory", "disk", "time"):
        assert figure in answer.out
    assert not cli.home.exists()


def test_without_a_command_the_help_is_printed_alone(cli: Any) -> None:
    answer = cli.run()
    assert answer.code == 2
    assert "Usage: " in answer.out
    assert answer.err == ""
