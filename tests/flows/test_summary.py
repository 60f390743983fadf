"""The last lines of a run name every metric, path and next command."""

import io
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from models import write_checkpoint
from rich.console import Console

from flows.summary import print_result
from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import RunConfig
from gpt_core.files import write_json

ROWS = [
    {"tokenizer": "bpe", "vocab_size": 512, "tokens_per_word": 1.5, "megabytes_per_second": 2.25},
    {"tokenizer": "byte", "vocab_size": 259, "tokens_per_word": 5.0},
]
SENTENCES = [{"sentence": "a b", "tokenizer": "bpe", "tokens": 2, "pieces": ["a", " b"]}]


def artifact(folder: Path, kind: str, config: object = None, **metrics: float) -> Artifact:
    with new_artifact(folder, kind=kind, config=config) as draft:
        report = {
            "samples": [{"prompt": "Once", "text": "\nupon"}],
            "tokenizers": ROWS,
            "sentences": SENTENCES,
            "checkpoints": [{"checkpoint": "one", "accuracy": 0.5}, {"checkpoint": "two"}],
        }
        write_json(draft.directory / "report.json", report)
        answers = pd.DataFrame(
            [["Who?", "", False], ["Who laughed?", "Tom's baker laughed.", True]],
            columns=["instruction", "input", "exact_match"],
        )
        answers.to_parquet(draft.directory / "answers.parquet")
        draft.metrics.update(metrics)
    return draft.artifact


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path))
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect" / "password").touch()
    output = io.StringIO()

    def print_to_text(result: Artifact | dict[str, Artifact]) -> str:
        console = Console(file=output, width=60)
        print_result(console, RunConfig(), result, 12.4, "http://127.0.0.1:4200/api")
        return output.getvalue()

    return print_to_text


def test_a_run_of_the_pipeline_shows_metrics_samples_paths_and_commands(
    printed: object, tmp_path: Path
) -> None:
    text = printed(
        {
            "shards": artifact(tmp_path / "shards", "shards"),
            "pretrained": artifact(tmp_path / "pretrained", "checkpoint"),
            "report": artifact(tmp_path / "report", "report", loss=1.5, perplexity=4.4817),
            "classifier": artifact(tmp_path / "classifier", "checkpoint", test_accuracy=0.875),
            "instructions": artifact(tmp_path / "instructions", "checkpoint", exact_match=0.25),
        }
    )
    rows = [line.split() for line in text.splitlines()]
    assert text.startswith("\nDone in 12 s. On text that training did not see:\n")
    assert ["model", "metric", "value"] in rows
    assert ["pretrained", "loss,", "nats", "per", "token", "1.500"] in rows
    assert ["classifier", "accuracy", "87.5%"] in rows
    assert ["instructions", "exact", "match", "25.0%"] in rows
    assert "  Once upon\n" in text
    assert "  token shards   shards\n" in text
    (command,) = re.findall("gptflow generate --checkpoint instructions .*", text)
    asked = ["temperature=0", "--input", "Tom's baker laughed.", "Who laughed?"]
    assert shlex.split(command)[4:] == asked
    served = "--checkpoint pretrained --checkpoint instructions --checkpoint classifier"
    assert f"  in a browser   gptflow serve {served}\n" in text
    assert "http://127.0.0.1:4200/runs   (Prefect; password: .prefect/password)" in text
    assert "/api" not in text


def test_one_artifact_shows_its_metrics_and_how_to_generate(
    printed: object, tmp_path: Path
) -> None:
    model = write_checkpoint(tmp_path / "model", validation_loss=1234.5, step=3)
    text = printed(model)
    assert "  step                                 3\n" in text
    assert "  validation_loss                1,234.5   nats per token, on text" in text
    assert "  checkpoint     model\n" in text
    assert '  continue       gptflow generate --checkpoint model "..."' in text
    assert '  look inside    gptflow anatomy --checkpoint model "..."' in text
    assert "  in a browser   gptflow serve --checkpoint model\n" in text
    assert "  ask    " not in text
    tuned = printed(write_checkpoint(tmp_path / "tuned", kind="instruction", stop_rate=0.5))
    assert "  stop_rate                          0.5   of the test answers ended" in tuned
    assert '  ask            gptflow generate --checkpoint tuned "..."' in tuned


def test_compared_tokenizers_are_a_table_with_the_pieces_of_a_sentence(
    printed: object, tmp_path: Path
) -> None:
    text = printed(artifact(tmp_path / "tokenizers", "report", config="tokenizers"))
    rows = [line.split() for line in text.splitlines()]
    assert ["bpe", "512", "1.50", "2.2", "MB/s"] in rows
    assert ["byte", "259", "5.00"] in rows
    assert "     2  a| b|\n" in text


def test_compared_models_are_a_table_with_a_column_each(printed: object, tmp_path: Path) -> None:
    text = printed(artifact(tmp_path / "models", "report", config="checkpoints"))
    rows = [line.split() for line in text.splitlines()]
    assert ["metric", "one", "two"] in rows
    assert ["accuracy", "0.5000"] in rows
