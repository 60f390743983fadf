"""Every stage of the pipeline is declared once, in its order, with the fetches before them."""

from pathlib import Path

import pytest

from gpt_core.config import GPT2ImportConfig
from gpt_core.errors import ConfigError
from tasks import stages
from tasks.planning import PendingArtifact, planning
from tasks.specs import STAGES


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / ".prefect"))


def test_stages_are_declared_in_the_order_of_the_pipeline() -> None:
    order = list(STAGES)
    for first, second in [
        ("clean_corpus", "train_tokenizer"),
        ("train_tokenizer", "encode_corpus"),
        ("encode_corpus", "pretrain"),
        ("pretrain", "evaluate_language_model"),
        ("evaluate_language_model", "finetune_classifier"),
    ]:
        assert order.index(first) < order.index(second)


def test_only_how_a_model_is_launched_leaves_the_key_alone() -> None:
    shards = PendingArtifact(kind="shards")
    inputs = stages.pretrain.inputs(shards, "settings", "launch")  # type: ignore[arg-type]
    assert inputs == (shards, "settings")


def test_a_plan_registers_a_source_that_is_here(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Once upon a time.")
    with planning("small") as plan:
        raw = stages.fetch_corpus(str(text))
    assert raw.kind == "raw"
    assert not isinstance(raw, PendingArtifact)
    assert plan.stages == []


def test_a_plan_names_what_a_run_would_download() -> None:
    with planning("small") as plan:
        text = stages.fetch_corpus("tiny-shakespeare")
        release = stages.fetch_gpt2(GPT2ImportConfig(size="124M"))
    assert [stage.name for stage in plan.stages] == [
        "fetch tiny-shakespeare", "fetch openai-community/gpt2"
    ]  # fmt: skip
    assert plan.stages[0].state == "to fetch, 1,115,394 bytes"
    assert all(isinstance(artifact, PendingArtifact) for artifact in (text, release))


def test_an_unknown_source_is_refused_in_a_plan_too() -> None:
    with planning("small"), pytest.raises(ConfigError, match="neither a file or folder nor"):
        stages.fetch_corpus("nowhere")
