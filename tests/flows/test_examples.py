"""The files for validation and test of a fine-tune are read, checked and part of its key."""

from pathlib import Path

import pytest

from flows.declarations import FLOWS
from flows.examples import fetch_examples
from flows.preflight import check_flow
from gpt_core.artifact import Artifact
from gpt_core.config import load_config
from gpt_core.errors import ConfigError, DataError
from gpt_core.text import source_path
from tasks import stages
from tasks.planning import planning
from tasks.reads import Source


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    lines = [f"{'ab'[i % 2]} text number{i} of{i} class\n" for i in range(60)]
    for name, part in (("train", lines[:40]), ("dev", lines[40:50]), ("test", lines[50:])):
        (tmp_path / f"sst.{name}").write_text("".join(part))
    return [
        f"classification.{field}={tmp_path / name}"
        for field, name in (
            ("source", "sst.train"), ("validation_source", "sst.dev"), ("test_source", "sst.test"),
        )
    ]  # fmt: skip


def test_they_are_reads_that_change_the_key(settings: list[str], tmp_path: Path) -> None:
    config = load_config(settings=settings)
    assert check_flow(FLOWS["classify"], config) == []
    names = [str(tmp_path / f"sst.{name}") for name in ("train", "dev", "test")]
    reads = FLOWS["classify"].all_reads(config)
    assert [each.name for each in reads if isinstance(each, Source)][-3:] == names

    def key() -> tuple[object, ...]:
        with planning("test"):
            examples, held = fetch_examples(config.classification, "classification")
            assert source_path(examples).name == "sst.train"
            assert list(held) == ["validation", "test"]
            model = Artifact(kind="checkpoint", path="model", fingerprint="0")
            parts = (model, examples, config.classification, config.lora, held)
            return tuple(map(str, stages.finetune_classifier.inputs(*parts)))

    before = key()
    (tmp_path / "sst.test").write_text("a another text\nb one more\n")
    assert key() != before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a x y\nc z z\n", "sst.test has the label 'c', which no training example has"),
        ("", "sst.test is empty"),
    ],
)
def test_an_unusable_one_is_refused_before_anything_starts(
    settings: list[str], tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / "sst.test").write_text(content)
    with pytest.raises(DataError, match=sentence):
        check_flow(FLOWS["classify"], load_config(settings=settings))
    with pytest.raises(ConfigError, match="'nowhere' is neither a file"):
        check_flow(FLOWS["classify"], load_config(settings=["classification.test_source=nowhere"]))


def test_examples_of_training_that_are_in_them_are_left_out(
    settings: list[str], tmp_path: Path
) -> None:
    first = (tmp_path / "sst.train").read_text().partition("\n")[0]
    with (tmp_path / "sst.test").open("a") as file:
        file.write(f"{first} !\n")
    (notice,) = check_flow(FLOWS["classify"], load_config(settings=settings))
    assert notice.startswith("1 of 40 examples of ")
    assert notice.endswith("nearly equal the test part's: they are left out of training")
