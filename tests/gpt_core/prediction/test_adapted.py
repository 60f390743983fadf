"""A file is predicted with an adapter on its model as with the merged checkpoint."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from models import byte_adapter, byte_model

from gpt_core.artifact import Artifact
from gpt_core.config import DecodingConfig, PredictionConfig
from gpt_core.errors import CheckpointError
from gpt_core.finetuning import merge_adapter
from gpt_core.prediction import predict, predict_file
from gpt_core.text import register_source

TEXTS = ["Say 1.", "a longer text with more bytes", "x"]
GREEDY = DecodingConfig(temperature=0, max_new_tokens=6)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return byte_model(tmp_path_factory.mktemp("base") / "checkpoint", 1)


def test_a_follower_s_adapter_makes_a_follower_of_its_model(base: Artifact, tmp_path: Path) -> None:
    adapter = byte_adapter(tmp_path / "adapter", base, template="short")
    merged = merge_adapter(base, adapter, tmp_path / "merged")
    adapted = PredictionConfig(adapter=str(adapter))
    found = predict(base.directory, TEXTS, adapted, GREEDY)
    expected = predict(merged.directory, TEXTS, decoding=GREEDY)
    assert found["answer"].tolist() == expected["answer"].tolist()
    alone = predict(base.directory, TEXTS, decoding=GREEDY)
    assert found["answer"].tolist() != alone["continuation"].tolist()


def test_a_classifier_s_adapter_makes_a_classifier_of_a_language_model(
    base: Artifact, tmp_path: Path
) -> None:
    adapter = byte_adapter(tmp_path / "adapter", base, labels=("no", "yes"))
    merged = merge_adapter(base, adapter, tmp_path / "merged")
    found = predict(base.directory, TEXTS, PredictionConfig(adapter=str(adapter)))
    expected = predict(merged.directory, TEXTS)
    assert found["predicted"].tolist() == expected["predicted"].tolist()
    ours, theirs = found["probability_yes"], expected["probability_yes"]
    assert ours.to_numpy() == pytest.approx(theirs.to_numpy(), abs=1e-5)
    assert ours.std() > 0.01


def test_a_report_has_the_content_of_an_adapter_and_not_its_place(
    base: Artifact, tmp_path: Path
) -> None:
    adapter = byte_adapter(tmp_path / "adapter", base, labels=("no", "yes"))
    moved = shutil.copytree(adapter, tmp_path / "elsewhere")
    file = tmp_path / "texts.csv"
    file.write_text("text\n" + "".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    raw = register_source(file, tmp_path / "raw")
    first, second = (
        predict_file(base, raw, PredictionConfig(adapter=str(each)), GREEDY, tmp_path / name)
        for each, name in ((adapter, "first"), (moved, "second"))
    )
    assert first.fingerprint == second.fingerprint
    assert str(tmp_path) not in (first.directory / "manifest.json").read_text(encoding="utf-8")
    byte_adapter(tmp_path / "other", base, labels=("no", "maybe"))
    config = PredictionConfig(adapter=str(tmp_path / "other"))
    assert predict_file(base, raw, config, GREEDY, tmp_path / "third").fingerprint not in (
        first.fingerprint,
        predict_file(base, raw, replace(config, batch_size=1), GREEDY, tmp_path / "4").fingerprint,
    )


def test_an_adapter_of_another_model_is_refused(base: Artifact, tmp_path: Path) -> None:
    other = byte_model(tmp_path / "other", 2)
    for name, labels in (("classifier", ("no", "yes")), ("follower", None)):
        template = None if labels else "short"
        adapter = byte_adapter(tmp_path / name, other, template, labels)
        with pytest.raises(CheckpointError, match="belongs to weights with the fingerprint"):
            predict(base.directory, TEXTS, PredictionConfig(adapter=str(adapter)), GREEDY)
    with pytest.raises(CheckpointError, match="is no adapter"):
        predict(base.directory, TEXTS, PredictionConfig(adapter=str(tmp_path)), GREEDY)
