"""A home is moved, cleaned, backed up and restored, with real servers and stores."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Kept:
    """A home that was moved after a run of ``prepare``, and what commands said there."""

    cli: Any
    old_home: Path
    answers: dict[str, Any]

    def tags(self, question: str) -> list[dict[str, str]]:
        """The tags of the runs that MLflow finds."""
        client = self.cli.mlflow_client()
        experiment = client.get_experiment_by_name("gptflow").experiment_id
        return [run.data.tags for run in client.search_runs([experiment], question)]


def removals(file: Path) -> int:
    """How many runs of a database of MLflow have the tag of removed artifacts."""
    with closing(sqlite3.connect(file)) as database:
        question = "SELECT count(*) FROM tags WHERE key = 'artifact_removed'"
        return int(database.execute(question).fetchone()[0])


@pytest.fixture(scope="module")
def kept(
    tmp_path_factory: pytest.TempPathFactory, module_cli: Any, small: list[str]
) -> Iterator[Kept]:
    old = replace(module_cli, home=tmp_path_factory.mktemp("old") / "home")
    first = old.run("prepare", *small)
    assert first.code == 0, first.out + first.err
    assert old.run("down").out == "stopped\n"
    (flow,) = old.mlflow_client().search_runs(
        [old.mlflow_client().get_experiment_by_name("gptflow").experiment_id],
        "tags.stage = 'prepare'",
    )
    assert flow.data.tags["artifact.encode_corpus"].startswith(f"{old.home}/data/shards/")
    moved = replace(module_cli, home=old.home.with_name("elsewhere"))
    old.home.rename(moved.home)
    commands = {
        "backup": ["backup"],
        "prepare": ["prepare", *small],
        "lineage": ["lineage", flow.info.run_id],
        "restore": ["restore", str(moved.home / "backups")],
        "look": ["clean", "--keep", "0", "--dry-run"],
        "unasked": ["clean", "--keep", "0"],
        "clean": ["clean", "--keep", "0", "--yes"],
        "again": ["clean", "--keep", "0", "--yes"],
    }
    answers = dict(zip(commands, moved.run_several(list(commands.values())), strict=True))
    yield Kept(moved, old.home, answers)
    moved.run("down")


def test_a_moved_home_keeps_every_stage_cached(kept: Kept) -> None:
    again, lineage = kept.answers["prepare"], kept.answers["lineage"]
    assert again.code == 0, again.out + again.err
    assert len(re.findall(r"✓ \w+ \(there already\)  /\S+/elsewhere/data/", again.out)) == 3
    found = kept.cli.mlflow_client().get_experiment_by_name("gptflow")
    assert found.artifact_location == str(kept.cli.home / "mlflow" / "artifacts")
    assert lineage.code == 0, lineage.err
    assert re.search(r"text\.txt  sha256 \w{16}", lineage.out)
    assert not kept.old_home.exists(), "nothing was written where the home was"


def test_clean_shows_what_goes_removes_it_and_notes_it_in_mlflow(kept: Kept) -> None:
    look, done, again = (kept.answers[name] for name in ("look", "clean", "again"))
    assert look.code == done.code == again.code == 0, look.err + done.err + again.err
    assert look.out.count("remove  ") == 3
    assert "not among the newest 0 of shards small" in look.out
    assert look.out.endswith("Nothing was removed.\n")
    assert "add --yes" in kept.answers["unasked"].user_error()
    assert re.search(r"^Removed 3: \d+\.\d [KM]B freed\.$", done.out, re.M)
    assert "0 of 0 artifacts can go: 0 B" in again.out
    data = kept.cli.home / "data"
    kinds = ("shards", "corpora", "tokenizers")
    assert [path for kind in kinds for path in (data / kind).iterdir()] == []
    assert list((data / "raw").iterdir()) != []
    noted = kept.tags("tags.artifact_removed != ''")
    assert {tags["stage"] for tags in noted} == {"clean_corpus", "train_tokenizer", "encode_corpus"}


def test_a_backup_is_put_back_when_nothing_runs(kept: Kept) -> None:
    made, refused = kept.answers["backup"], kept.answers["restore"]
    assert made.code == 0, made.err
    assert re.search(r"^prefect\.db: [\d,]+ bytes, schema \w+\nmlflow\.db: ", made.out)
    folder = made.out.splitlines()[-1].rpartition(" ")[2]
    assert "is running in" in refused.user_error()
    assert "gptflow down" in refused.user_error()
    assert kept.cli.run("down").out == "stopped\n"
    back = kept.cli.run("restore", folder)
    assert back.code == 0, back.err
    assert len(re.findall(r"^restored \S+\.db; before: \S+\.before-\d+-\d+$", back.out, re.M)) == 2
    file = kept.cli.home / "mlflow" / "mlflow.db"
    (before,) = file.parent.glob("mlflow.db.before-*")
    assert (removals(file), removals(before)) == (0, 3), "noted after the backup"
