"""A file is predicted by a command: refused with a sentence, planned, run, cached and copied."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from models import byte_adapter, byte_classifier, byte_model

Planned = Callable[..., list[str]]


def test_a_checkpoint_and_a_file_are_one_stage(
    planned: Planned, checkpoint: str, tmp_path: Path
) -> None:
    file = tmp_path / "texts.csv"
    file.write_text("text\nhello\n")
    assert planned("predict", f"source={file}", f"checkpoint={checkpoint}") == ["predict_file"]


def test_what_cannot_be_predicted_is_one_sentence(cli: Any, tmp_path: Path) -> None:
    classifier = byte_classifier(tmp_path / "classifier").path
    good, other = tmp_path / "good.csv", tmp_path / "other.csv"
    good.write_text("text\nhello\n")
    other.write_text("id,body,title\n1,a,b\n")
    (tmp_path / "book.xlsx").write_bytes(b"PK\3\4")
    (tmp_path / "text").write_text("")
    base, another = byte_model(tmp_path / "base", 1), byte_model(tmp_path / "another", 2)
    adapter = str(byte_adapter(tmp_path / "adapter", another, labels=("no", "yes")))
    adapted = ["predict", "--checkpoint", base.path, f"source={good}", "--adapter"]
    named = ["predict", "--checkpoint", classifier]
    mistakes = [
        (["predict", f"source={good}"], "give the model: --checkpoint DIR"),
        ([*named, "source=nothing.csv"], "neither a file or folder nor a named source"),
        ([*named, f"source={tmp_path}"], "is a folder: give the file in it"),
        ([*named, f"source={other}"], "no column 'text'; it has id, body, title; set predict.text"),
        ([*named, f"source={tmp_path / 'book.xlsx'}"], "rows are read from .csv"),
        ([*named, f"source={good}", "predict.keep=['id']"], "no column 'id'.*predict.keep"),
        ([*named, f"source={good}", "out=a.xlsx"], "out must be a file that ends in .parquet or"),
        ([*named, f"source={good}", f"out={good}"], "is the source itself"),
        (["predict", "--checkpoint", str(tmp_path), f"source={good}"], "no manifest.json"),
        (["predict", "--checkpoint", "models:/none", f"source={good}"], "there is no models:/none"),
        ([*adapted, adapter], "belongs to weights with the fingerprint"),
        ([*adapted, base.path], "is no adapter: neither it nor adapter in it"),
    ]
    assert cli.answers_other_than(mistakes) == []


def test_a_classifier_and_a_follower_predict_files_and_a_second_run_is_cached(
    module_cli: Any, tmp_path: Path
) -> None:
    classifier = byte_classifier(tmp_path / "classifier").path
    follower = byte_model(tmp_path / "follower", 4, "short").path
    texts = tmp_path / "texts.tsv"
    texts.write_text("".join(f"{('ham', 'spam')[n % 2]}\ttext {n}\n" for n in range(30)) + "x\n")
    asked = tmp_path / "asked.jsonl"
    asked.write_text("".join(json.dumps({"instruction": f"Say {n}"}) + "\n" for n in range(3)))
    out, answers = tmp_path / "out.csv", tmp_path / "answers.parquet"
    command = ["predict", "--checkpoint", classifier, f"source={texts}", f"out={out}"]
    short = ["generation.max_new_tokens=5", f"out={answers}"]
    base = byte_model(tmp_path / "base", 1)
    adapter = byte_adapter(tmp_path / "adapter", base, template="short")
    with_adapter = ["predict", "--checkpoint", base.path, "--adapter", str(adapter)]
    first, again, wrote, adapted = module_cli.run_several([
        command,
        command,
        ["predict", "--checkpoint", follower, f"source={asked}", *short],
        [*with_adapter, f"source={asked}", *short[:1], f"out={tmp_path / 'adapted.parquet'}"],
    ])  # fmt: skip
    assert adapted.code == 0, adapted.err
    assert pq.read_table(tmp_path / "adapted.parquet").column("answer").null_count == 0
    assert first.code == again.code == wrote.code == 0, first.err + again.err + wrote.err
    assert "31 rows, 1 of them could not be predicted" in first.out
    assert "not predicted: line 31: 1 fields, the header has 2" in first.out
    assert "of 30 labelled rows" in first.out
    assert f"copy           {out}" in first.out
    lines = out.read_text("utf-8").splitlines()
    assert lines[0].split(",")[:4] == ['"row"', '"text"', '"expected"', '"predicted"']
    assert len(lines) == 32
    assert "there already" in again.out
    assert pq.read_table(answers).column("instruction").to_pylist() == ["Say 0", "Say 1", "Say 2"]
    assert max(pq.read_table(answers).column("answer_tokens").to_pylist()) <= 5
