"""Calibration on one part, metrics on another."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from gpt_core.artifact import new_artifact
from gpt_core.evaluation import fit_temperature
from gpt_core.files import read_json
from gpt_core.finetuning.measuring import Calibration, calibrate, write_test
from gpt_core.text import Example


def drawn(n: int) -> tuple[list[Example], torch.Tensor]:
    """Examples and log-probabilities that are too sure of themselves."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, n)
    scores = 4 * (rng.normal(size=(n, 2)) + np.eye(2)[labels])
    examples = [Example(f"text {i}", "ab"[label]) for i, label in enumerate(labels)]
    return examples, torch.tensor(scores).log_softmax(dim=-1)


def test_temperature_and_threshold_come_from_the_validation_part() -> None:
    examples, scores = drawn(400)
    found = calibrate(examples, scores, ["a", "b"], "b")
    targets = np.array(["ab".index(example.label) for example in examples])
    assert found.temperature == fit_temperature(scores.numpy(), targets) > 1.5
    assert found.threshold is not None
    assert 0.0 < found.threshold < 1.0
    assert calibrate([], torch.empty(0, 1), ["a", "b"], "b") == Calibration(1.0, "b", None)
    assert calibrate(examples, scores, ["a", "b"], None).threshold is None


def test_a_temperature_improves_the_calibration_and_changes_no_prediction(tmp_path: Path) -> None:
    validation, test = drawn(400), drawn(300)
    calibration = calibrate(*validation, ["a", "b"], "b")
    with new_artifact(tmp_path / "made", kind="checkpoint") as draft:
        write_test(draft, *test, ["a", "b"], calibration)
    metrics = draft.artifact.metrics()
    assert metrics["test_ece"] < metrics["test_ece_uncalibrated"]
    assert metrics["test_loss"] < metrics["test_loss_uncalibrated"]
    assert metrics["test_brier"] < metrics["test_brier_uncalibrated"]
    rows = pq.read_table(draft.artifact.directory / "predictions.parquet").to_pydict()
    assert rows["predicted"] == ["ab"[index] for index in test[1].argmax(dim=1).tolist()]
    curves = read_json(draft.artifact.directory / "reliability.json")
    assert curves["calibrated"] != curves["uncalibrated"]


def test_an_empty_test_part_has_files_and_no_metrics(tmp_path: Path) -> None:
    with new_artifact(tmp_path / "made", kind="checkpoint") as draft:
        write_test(draft, [], torch.empty(0, 1), ["a", "b"], Calibration(1.0, "b", 0.4))
    assert dict(draft.artifact.metrics()) == {"temperature": 1.0}
    assert pq.read_table(draft.artifact.directory / "predictions.parquet").num_rows == 0
