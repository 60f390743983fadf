"""``gptflow lineage`` goes from a result back to the SHA-256 of the raw text."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flows.lineage import changed_settings, lineage_tree
from tasks.lineage import Lineage, StageRunInfo


@pytest.fixture(scope="module")
def shards(shared_cli: Any, small: list[str]) -> Path:
    answer = shared_cli.run("prepare", *small)
    assert answer.code == 0, answer.out + answer.err
    (name,) = set(re.findall(r"shards/(small-\w+)", answer.out))
    return Path(shared_cli.home / "data" / "shards" / name)


def test_every_step_is_shown_with_its_run_and_the_raw_files(
    shared_cli: Any, shards: Path, project_root: Path
) -> None:
    tree, as_json, mermaid, picture = shared_cli.run_several(
        [["lineage", str(shards), "--as", form] for form in ("tree", "json", "mermaid", "picture")]
    )
    assert tree.code == as_json.code == mermaid.code == 0, tree.err + as_json.err + mermaid.err
    assert re.search(r"^shards:small-\w+  \w{32}$", tree.out, re.M)
    assert re.search(r"  encode_corpus at 20\d\d-\d\d-\d\dT[\d:+]+\n[│ ]+run \w{32}\b", tree.out)
    assert re.search(r"^ .*vocab_size=400$", tree.out, re.M)
    assert Path(picture.out.strip()).read_bytes().startswith(b"\x89PNG")
    lineage = json.loads(as_json.out)
    corpus = lineage["parents"][0]
    raw = corpus["parents"][0]
    assert corpus["run"]["stage"] == "clean_corpus"
    for name, digest in raw["raw_files"].items():
        assert f"{name}  sha256 {digest[:16]}" in tree.out
    assert mermaid.out.startswith("graph LR\n")
    corpus_edge = f'  {raw["fingerprint"]}["{raw["name"]}"] --> {corpus["fingerprint"]}['
    assert mermaid.out.count(corpus_edge) == 1


def test_the_hash_is_that_of_the_file(shared_cli: Any, shards: Path, small: list[str]) -> None:
    lineage = json.loads(shared_cli.run("lineage", str(shards), "--as", "json").out)
    (source,) = [each.removeprefix("source=") for each in small if each.startswith("source=")]
    raw_files = lineage["parents"][0]["parents"][0]["raw_files"]
    assert list(raw_files.values()) == [hashlib.sha256(Path(source).read_bytes()).hexdigest()]


def test_only_settings_that_are_not_the_defaults_are_shown() -> None:
    assert changed_settings({"model": {"n_layer": 77}, "training": {"seed": 1337}}) == {
        "model.n_layer": 77
    }
    assert changed_settings([{"kind": "word"}, {"lowercase": None}, None]) == {
        "kind": "word", "lowercase": None,
    }  # fmt: skip
    assert changed_settings(None) == {}


def test_nothing_is_cut_where_the_terminal_is_narrow() -> None:
    run = StageRunInfo(run_id="0f" * 16, stage="pretrain", commit="ab" * 20, started="2026-11-26")
    lineage = Lineage(
        name="checkpoint:mine", fingerprint="3d" * 16, path="/a/" + "long/" * 20 + "end", run=run,
        config=None, metrics={}, raw_files={}, parents=(),
    )  # fmt: skip
    console = Console(record=True, width=40)
    console.print(lineage_tree(replace(lineage, parents=(lineage,))))
    printed = re.sub(r"[\s│├└─]", "", console.export_text())
    for text in ("/a/" + "long/" * 20 + "end", f"run{'0f' * 16},commit{'ab' * 5}", "3d" * 16):
        assert printed.count(text) == 2


def test_what_is_no_artifact_is_one_sentence(cli: Any) -> None:
    no_run, no_artifact = cli.run_several([["lineage", "0" * 32], ["lineage", str(cli.root)]])
    assert "MLflow has no run or model" in no_run.user_error()
    assert "manifest.json" in no_artifact.user_error()
