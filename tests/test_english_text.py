"""The text of the preset ``english``: nothing of it is held out elsewhere."""

import json
from pathlib import Path

from benchmarks import english


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
