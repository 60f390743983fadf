"""``gptflow promote`` and addresses of models, as commands in one home."""

from pathlib import Path
from typing import Any

import pytest
from models import language_model, prepare_shards

from gpt_core.config import RunConfig
from tasks.tracking import tracked_flow


def test_a_champion_follows_another_and_is_generated_from(
    cli: Any, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPTFLOW_HOME", str(cli.home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    cli.home.mkdir()
    shards = prepare_shards(cli.home, project_root / "data/samples/text/english.txt")
    good, bad = (language_model(cli.home, shards, f"m-{scale}", scale) for scale in (1.0, 60.0))
    with tracked_flow("pretrain", RunConfig(name="mine"), {}) as flow:
        for model in (good, bad):
            flow.note("pretrain", model)
    name, amount = "language-model", "registry.max_bytes=2000"
    generate = ["generate", "--checkpoint", f"models:/{name}@champion", "max_new_tokens=2", "In"]
    reason = ["--force", "--reason", "it is needed"]
    answers = cli.run_several([
        generate, ["promote", f"{name}@1"], generate, ["promote", name, amount],
        ["promote", name, "--force"], ["promote", name, "training.steps=3"],
        ["promote", name, amount, *reason], generate, ["promote", name, "--rollback"], generate,
        ["lineage", f"models:/{name}@champion"],
    ])  # fmt: skip
    none, first, from_first, worse, no_reason, unread, forced, from_forced, back, last, tree = (
        answers
    )
    assert "make one with gptflow promote language-model" in none.user_error()
    assert "language-model version 1 is the champion: there was no champion" in first.out
    assert f"from {good.path}" in from_first.err
    sentence = worse.user_error()
    assert "version 2 is worse than the champion, version 1: bits_per_byte on held-out" in sentence
    assert "worse, decides" in worse.out
    assert "--force needs --reason TEXT" in no_reason.user_error()
    assert "promote does not read training.steps=3" in unread.user_error()
    assert "language-model version 2 is the champion" in forced.out
    assert f"from {bad.path}" in from_forced.err
    assert "language-model version 1 is the champion again, was 2" in back.out
    assert f"from {good.path}" in last.err
    assert good.fingerprint in tree.out
