"""The preset ``english``: nothing of its text is held out elsewhere, and its measurements run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import english, english_finetunes
from gpt_core.config import load_config

SMALL = (
    "model.n_layer=1", "model.n_head=2", "model.n_embd=16", "tokenizer.vocab_size=400",
    "training.steps=2", "schedule.warmup_steps=1",
)  # fmt: skip


def test_held_out_texts_are_not_in_the_text(tmp_path: Path) -> None:
    held, task = "a film of rare and quiet beauty", "Name the capital of the country of France."
    for name in (*english.NOVELS, english.SHAKESPEARE):
        (tmp_path / name).write_text(f"From {name}.\n\n\nThe end.\n")
    phrases = ["label\tsentence", f"1\t{held} ", "0\tdull and much too long , alas"]
    (tmp_path / english.PHRASES).write_text("\r\n".join(phrases) + "\r\n", newline="")
    for name in english.HELD_SENTENCES:
        (tmp_path / name).write_text(f"label\tcontent\n1\t{held} .\n")
    rows = [{"instruction": task, "input": "", "output": "Paris."}]
    (tmp_path / english.HELD_INSTRUCTIONS).write_text(json.dumps(rows))
    own = {"instruction": "Add the numbers.\n\nAll of them.", "input": "1 2", "output": "3"}
    (tmp_path / english.INSTRUCTIONS).write_text(json.dumps([*rows, own]))
    documents = english.write(tmp_path, tmp_path / "english.txt").read_text().split("\n\n")
    assert documents[:2] == [f"From {english.NOVELS[0]}.", "The end."]
    assert documents[-2:] == [
        "dull and much too long , alas", "Add the numbers.\nAll of them.\n1 2\n3\n",
    ]  # fmt: skip
    assert not [text for text in documents if "quiet beauty" in text or "France" in text]


@pytest.mark.long
def test_a_base_is_made_and_tuned_and_found_again(
    tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, tables = project_root / "data" / "samples", dict[str, list[str]]()
    work = tmp_path / "work"
    work.mkdir()
    text = (samples / "text" / "english.txt").read_text("utf-8")
    (work / "english.txt").write_text(text[:100_000], "utf-8")
    tuning = replace(english_finetunes.TASK_SETTINGS, epochs=1, max_new_tokens=2)
    classes = replace(english_finetunes.SMS_SETTINGS, epochs=1)
    rows = json.loads((samples / "instructions.json").read_text("utf-8"))[:60]
    (tmp_path / "tasks.json").write_text(json.dumps(rows), "utf-8")
    for name, value in {
        "CONFIG": load_config("english", settings=SMALL),
        "SMS_SEEDS": 1,
        "SMS": samples / "messages.tsv",
        "SMS_SETTINGS": classes,
        "TASKS": tmp_path / "tasks.json",
        "TASK_SETTINGS": tuning,
        "publish": lambda title, _script, _how, lines: tables.update({title: lines}),
    }.items():
        monkeypatch.setattr(english_finetunes, name, value)
    english_finetunes.sms(work)
    english_finetunes.instructions(work)
    assert [row.split(" | ")[0] for row in tables["SMS Spam"][2:]] == [
        "| classifier", "| TF-IDF + logistic regression", "| most frequent label",
    ]  # fmt: skip
    names = [row.split(" | ")[0] for row in tables["The 1,100 instructions"][2:]]
    assert {"| left_out_examples", "| cut_examples", "| stop_rate", "| test_loss"} <= {*names}
    before = {file: file.stat().st_mtime_ns for file in work.rglob("manifest.json")}
    english_finetunes.sms(work)
    assert before == {file: file.stat().st_mtime_ns for file in work.rglob("manifest.json")}
