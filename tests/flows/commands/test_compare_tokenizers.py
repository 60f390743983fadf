"""Tokenizers are compared on one corpus: one table with plots, each row cached."""

import re
from typing import Any

import pytest

COMPARE = 'comparison.tokenizers=["byte", "bpe:300", "unigram"]'


@pytest.fixture(scope="module")
def compared(second_cli: Any, small: list[str]) -> Any:
    answer = second_cli.run("compare-tokenizers", *small, COMPARE)
    assert answer.code == 0, answer.out + answer.err
    return answer


def table_cells(answer: Any) -> dict[str, list[str]]:
    """The printed table's cells by tokenizer."""
    rows = [re.split(r" {2,}", line.strip()) for line in answer.out.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) > 7 and row[0] != "tokenizer"}


def test_the_table_and_the_pieces_are_shown(compared: Any) -> None:
    rows = table_cells(compared)
    assert list(rows) == ["byte", "bpe:300", "unigram"]
    assert [row[0] for row in rows.values()] == ["257", "300", "400"]
    assert {row[6] for row in rows.values()} == {"100%"}, "all of them come back exactly"
    assert "|" in compared.out


def test_mlflow_has_table_plots_and_a_run_for_each(second_cli: Any, compared: Any) -> None:
    store = second_cli.mlflow_client()
    runs = store.search_runs([e.experiment_id for e in store.search_experiments()])
    by_name = {run.info.run_name: run for run in runs}
    for name in ("byte", "bpe:300", "unigram"):
        assert by_name[f"measure_tokenizer {name}"].data.metrics["exact_share"] == 1.0
    made = by_name["compare_tokenizers small"].info.run_id
    files = {file.path for file in store.list_artifacts(made)}
    assert files == {"tokenizers.json", "tokenizers.png", "zipf.png", "pieces.html"}


@pytest.mark.usefixtures("compared")
def test_another_tokenizer_runs_only_its_own_stages(second_cli: Any, small: list[str]) -> None:
    trained = next((second_cli.home / "data" / "tokenizers").iterdir())
    names = COMPARE.replace("]", f', "character", "{trained}"]')
    command = ["compare-tokenizers", *small, names]
    answer, plan = second_cli.run_several([command, [*command, "--dry-run"]])
    done = re.findall(r"^✓ (\w+) \([\d.]+ s\)", answer.out, re.M)
    assert done == ["train_tokenizer", *["measure_tokenizer"] * 2, "compare_tokenizers"]
    assert len(re.findall(r"^\w+ +done ", plan.out, re.M)) == 11
    assert " to do" not in plan.out


MISTAKES = [
    ("bp:300", "there is no kind 'bp'; there are unigram"),
    ("bpe:many", "bpe:many: after the colon comes a size"),
    ("bpe:5", "comparison.tokenizers: bpe:5: vocab_size must be at least 257"),
    ("./nowhere", "nowhere is not a directory, so it cannot be a tokenizer"),
    ("[]", "comparison.tokenizers must name at least one"),
    ('["byte", "byte"]', "comparison.tokenizers must differ"),
]


def test_a_wrong_name_is_one_sentence(cli: Any) -> None:
    results = cli.run_several(
        [["compare-tokenizers", f"comparison.tokenizers={names}"] for names, _ in MISTAKES]
    )
    for result, (names, sentence) in zip(results, MISTAKES, strict=True):
        assert sentence in result.user_error(), names
    assert not cli.home.exists()
