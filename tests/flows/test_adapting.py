"""Adapters on the command line: used without merging, shown, merged; mistakes in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from models import byte_model

from gpt_core.artifact import read_artifact, verify
from gpt_core.config import InstructionConfig, LoRAConfig
from gpt_core.finetuning import finetune_instructions
from gpt_core.text import register_source


@pytest.fixture
def home(cli: Any, tmp_path: Path) -> Path:
    """A base, another model, and a fine-tune that holds only an adapter."""
    checkpoints = Path(cli.home) / "data" / "checkpoints"
    checkpoints.mkdir(parents=True)
    base = byte_model(checkpoints / "base", 1)
    byte_model(checkpoints / "other", 2)
    tasks = [{"instruction": f"Say {i}.", "output": "yes"} for i in range(60)]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    examples = register_source(tmp_path / "tasks.json", tmp_path / "raw")
    config = InstructionConfig(template="short", epochs=2, learning_rate=2e-2, max_new_tokens=4)
    lora = LoRAConfig(rank=2, merge=False)
    finetune_instructions(base, examples, config, lora, checkpoints / "tuned")
    return checkpoints


def test_an_adapter_is_used_shown_and_merged(cli: Any, home: Path) -> None:
    base, other, tuned = (str(home / name) for name in ("base", "other", "tuned"))
    ask = ["temperature=0", "max_new_tokens=3", "Say 1."]
    newest, answer, alone, adapted, only, shown, merged, from_other, *mistakes = cli.run_several([
        ["generate", *ask],
        ["generate", "--instruct", *ask],
        ["generate", "--checkpoint", base, *ask],
        ["generate", "--checkpoint", base, "--adapter", tuned, *ask],
        ["generate", "--checkpoint", tuned, *ask],
        ["adapters", "show", f"{tuned}/adapter"],
        ["adapters", "merge", tuned, "--out", str(home / "merged")],
        ["generate", "--checkpoint", other, "--adapter", tuned, *ask],
        ["generate", "--adapter", tuned, *ask],
        ["adapters", "merge", tuned, "--out", str(home / "merged")],
        ["adapters", "show", base],
    ])  # fmt: skip
    bare, twice, unknown = mistakes
    assert adapted.out == only.out
    assert alone.out != adapted.out
    assert "checkpoints/other" in newest.err, "tuned is newer, but no language model"
    assert newest.out.startswith("Say 1.")
    assert "checkpoints/tuned" in answer.err
    assert answer.out == only.out
    assert "variant     LoRA, rank 2, alpha 16" in shown.out
    assert "attn.c_attn, attn.c_proj, mlp.c_fc, mlp.c_proj in 1 blocks" in shown.out
    assert "parameters  1,024, 4." in shown.out
    assert "made for    instruction" in shown.out
    assert "merged: " in merged.out
    verify(read_artifact(home / "merged", "checkpoint"))
    assert cli.run("generate", "--checkpoint", str(home / "merged"), *ask).out == only.out
    assert "belongs to weights with the fingerprint" in from_other.user_error()
    assert "--adapter needs --checkpoint DIR" in bare.user_error()
    assert "exists already: name a directory that does not" in twice.user_error()
    assert "is no adapter: neither it nor adapter in it" in unknown.user_error()
