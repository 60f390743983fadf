"""A model is tuned on pairs of answers, made first if none is given."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models import byte_model

Planned = Callable[..., list[str]]
PREPARING = ["clean_corpus", "train_tokenizer", "encode_corpus"]


def test_a_missing_model_is_pretrained_first(planned: Planned) -> None:
    assert planned("prefer") == [*PREPARING, "pretrain", "finetune_preferences"]


def test_a_given_model_needs_no_text(planned: Planned, checkpoint: str) -> None:
    assert planned("prefer", f"checkpoint={checkpoint}") == ["finetune_preferences"]


def test_a_model_is_tuned_on_pairs_and_answers(shared_cli: Any, tmp_path: Path) -> None:
    base = byte_model(tmp_path / "base", 3).path
    rows = [{"prompt": f"Say {i}.", "chosen": "yes", "rejected": f"no {i}"} for i in range(40)]
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "a", "chosen": "b"}\n', encoding="utf-8")
    settings = [
        "name=preferred", f"checkpoint={base}", "preference.template=short", "preference.epochs=1",
        "preference.max_new_tokens=3", "lora.rank=2", "lora.merge=false",
    ]  # fmt: skip
    tuned, wrong = shared_cli.run_several([
        ["prefer", *settings, f"preference.source={pairs}"],
        ["prefer", *settings, f"preference.source={bad}"],
    ])  # fmt: skip
    assert tuned.code == 0, tuned.out + tuned.err
    assert "has no 'rejected'; it has prompt, chosen" in wrong.user_error()
    found = re.search(r"(\S*data/checkpoints/preferred-\w+)", tuned.out)
    assert found is not None
    place = Path(shared_cli.root) / found[1]
    assert not (place / "model.safetensors").exists()
    metrics = json.loads((place / "manifest.json").read_text(encoding="utf-8"))["metrics"]
    assert metrics["test_reward_margin"] != 0
    assert metrics["adapter_parameters"] == 1024
    answer = shared_cli.run("generate", "--checkpoint", str(place), "max_new_tokens=2", "Say 1.")
    assert answer.code == 0, answer.err
