"""Registered models: families, versions, aliases and addresses."""

from pathlib import Path

import pytest
from models import pretrained, write_checkpoint

from gpt_core.errors import DataError
from tasks.reads import Given
from tasks.tracking import FlowRecord, registered_checkpoint
from tasks.tracking.registry import find_version, model_name


def test_families_have_names_that_do_not_depend_on_the_run(tmp_path: Path) -> None:
    def name(**parts: object) -> str:
        folder = tmp_path / "checkpoint"
        return model_name(write_checkpoint(folder, **parts), None)  # type: ignore[arg-type]

    assert name() == name(kind="imported") == "language-model"
    assert name(kind="instruction") == "instruction-follower"
    assert name(kind="classifier", labels=("spam", "ham")) == "classifier-ham-spam"
    assert name(kind="classifier", labels=("a/b", "ç:")) == "classifier-a_b-ç_"
    many = tuple(f"label {n}" for n in range(40))
    assert name(kind="classifier", labels=many).startswith("classifier-40-labels-")
    alike = name(kind="classifier", labels=("a/b", "a:b"))
    assert alike != name(kind="classifier", labels=("a b", "a.b")), "other classes, other name"
    assert model_name(write_checkpoint(tmp_path / "x"), "poems") == "poems-language-model"


def test_addresses_lead_to_the_checkpoint_of_a_version(
    registry_home: Path, flow: FlowRecord
) -> None:
    first, second = pretrained(registry_home, "first"), pretrained(registry_home, "second", 2.0)
    flow.note("pretrain", first)
    flow.note("pretrain", second)
    flow.note("pretrain", first)  # known already
    name = f"models:/{flow.prefix}-language-model"
    assert registered_checkpoint(f"{name}/1") == first
    assert {registered_checkpoint(f"{name}{end}") for end in ("", "@candidate", "/2")} == {second}
    assert Given(f"{name}@candidate", "checkpoint").read() == second
    version = find_version(name)
    assert version.tags["path"] == "data/checkpoints/second"
    assert version.tags["validation_loss"] == "2"
    assert {"git.commit", "stage"} < set(version.tags)
    for address, problem in (
        (f"{name}@champion", "@champion: make one with gptflow promote"),
        (f"{name}/7", "there is no models:/.*language-model/7"),
        (f"{name}/best", "with a number as version"),
        ("models:/nobody", "there is no registered model 'nobody': there are "),
    ):
        with pytest.raises(DataError, match=problem):
            registered_checkpoint(address)
