"""The gate: the first metric in which two models differ decides, each measured on the same text."""

import json
import shutil
from pathlib import Path

import pytest
from models import language_model, prepare_shards

from gpt_core.artifact import read_artifact
from gpt_core.config import LoRAConfig, PreferenceConfig, load_config
from gpt_core.errors import DataError
from gpt_core.finetuning import finetune_preferences
from gpt_core.text import iter_texts, register_source
from tasks.gate import Row, Verdict, compare


def test_the_first_metric_that_differs_decides() -> None:
    equal = Row("instructions", "exact_match", 0.0, 0.0)
    better = Row("instructions", "rouge_l", 0.2, 0.1)
    worse = Row("held-out text", "bits_per_byte", 1.9, 1.8)
    assert worse.gain < 0 < better.gain
    assert Verdict((equal, better)).deciding == (better,)
    assert Verdict((equal, better, worse)).worse == (worse,), "one test is enough to refuse"
    assert worse.sentence() == "bits_per_byte on held-out text 1.9, the champion's is 1.8"


def test_a_tie_of_models_that_get_nothing_right_promotes_nothing() -> None:
    exact = Row("instructions", "exact_match", 0.0, 0.0)
    similar, nothing = (Row("instructions", "rouge_l", value, value) for value in (0.3, 0.0))
    assert Verdict((exact, nothing)).worse == (exact,)
    assert exact.sentence().endswith("0, the champion's is 0, so that neither can do it")
    assert Verdict((exact, similar)).worse == (), "they can do something, equally well"
    perfect = Row("text", "bits_per_byte", 0.0, 0.0)
    assert Verdict((perfect,)).worse == (), "the best that there is"


def test_a_loss_that_is_no_number_is_worse() -> None:
    row = Row("held-out text", "bits_per_byte", float("nan"), 1.8)
    assert Verdict((row,)).worse == (row,)


def test_language_models_are_measured_on_the_candidates_test_part(
    home: Path, project_root: Path
) -> None:
    shards = prepare_shards(home, project_root / "data/samples/text/english.txt")
    good, bad = (language_model(home, shards, f"m-{scale}", scale) for scale in (1.0, 60.0))
    file = home / "questions.txt"
    file.write_text("In winter Yusuf the carpenter went to the school. " * 20)
    config = load_config(settings=[f"benchmarks.text={file}", "registry.max_bytes=3000"])
    verdict = compare(bad, good, config)
    assert [(row.test, row.metric) for row in verdict.worse] == [
        ("held-out text", "bits_per_byte"), ("text", "bits_per_byte"),
    ]  # fmt: skip
    assert verdict.rows[0].champion == pytest.approx(8.0, abs=0.2), "untrained: a byte is 8 bits"
    (held_out,) = (home / "data" / "raw").glob("held-out-*.txt")
    first = next(iter_texts(read_artifact(home / "data" / "corpora" / "text"), "test"))
    assert held_out.read_text("utf-8").startswith(first[:1000])
    assert len(held_out.read_bytes()) <= 3000
    reports = {path: path.stat().st_mtime_ns for path in (home / "data" / "reports").iterdir()}
    assert compare(good, bad, config).worse == ()
    again = {path: path.stat().st_mtime_ns for path in (home / "data" / "reports").iterdir()}
    assert reports == again, "what was measured on this text is not measured again"
    shutil.rmtree(shards.directory)
    with pytest.raises(DataError, match=r"name a text or questions with benchmarks\.text=FILE"):
        compare(good, bad, load_config())


def test_a_model_tuned_on_pairs_is_measured_on_text(home: Path, project_root: Path) -> None:
    shards = prepare_shards(home, project_root / "data/samples/text/english.txt")
    good, bad = (language_model(home, shards, f"m-{scale}", scale) for scale in (1.0, 60.0))
    pairs = home / "pairs.json"
    rows = [{"prompt": str(i), "chosen": "y", "rejected": "n"} for i in range(30)]
    pairs.write_text(json.dumps(rows))
    tuned = finetune_preferences(
        good,
        register_source(pairs, home / "data" / "raw" / "pairs"),
        PreferenceConfig(template="short", epochs=1, answers=0),
        LoRAConfig(),
        home / "data" / "checkpoints" / "tuned",
    )
    config = load_config(settings=["registry.max_bytes=3000"])
    verdict = compare(tuned, bad, config)
    assert [(row.test, row.metric) for row in verdict.rows] == [("held-out text", "bits_per_byte")]
    assert verdict.worse == ()
    assert len(compare(bad, tuned, config).worse) == 1
