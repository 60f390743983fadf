"""A plan lists the stages that a run does, in their order, with sizes that can be computed."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.declarations import FLOWS
from flows.sizes import duration

COMPARE = 'comparison.tokenizers=["byte", "bpe:300"]'


def test_every_flow_is_planned_without_a_server_or_a_store(
    planned: Callable[..., list[str]], home: Path
) -> None:
    preparing = ["clean_corpus", "train_tokenizer", "encode_corpus"]
    assert planned("prepare") == preparing
    assert planned("pretrain") == [*preparing, "pretrain"]
    assert planned("classify") == [
        *preparing,
        "pretrain",
        "fit_baselines",
        "finetune_classifier",
        "summarize_classifiers",
    ]
    assert planned("compare-tokenizers", COMPARE) == [
        "clean_corpus", *["train_tokenizer", "measure_tokenizer"] * 2, "compare_tokenizers"
    ]  # fmt: skip
    assert planned("import-gpt2", "gpt2.size=124M") == [
        "fetch openai-community/gpt2", "import_gpt2"
    ]  # fmt: skip
    assert not list(home.iterdir())


def test_a_duration_is_in_the_unit_that_fits() -> None:
    assert [duration(s) for s in (89, 90, 5399, 5400)] == [
        "89 s", "1.5 minutes", "90.0 minutes", "1.5 hours"
    ]  # fmt: skip


def stages_run(answer: Any) -> list[str]:
    return re.findall(r"^✓ (\w+) \(", answer.out, re.M)


def stages_planned(answer: Any) -> list[str]:
    return re.findall(r"^(\w+) +(?:done|to do)\b", answer.out, re.M)


def test_the_plan_of_every_flow_names_the_stages_that_its_run_does(
    shared_cli: Any, small: list[str], tmp_path: Path
) -> None:
    (tmp_path / "prompts.txt").write_text("once\nupon\n")
    (tmp_path / "lambada.jsonl").write_text(json.dumps({"text": "once upon a time"}))
    commands = [
        [name, *small]
        for name in ("run", "prepare", "pretrain", "evaluate", "classify", "instruct", "release")
    ]
    commands.append(["compare-tokenizers", *small, COMPARE])
    commands.append(["classify-table", *small, 'ablation.rows=["head"]'])
    pairs = [{"prompt": f"Say {n}.", "chosen": "yes", "rejected": f"no {n}"} for n in range(40)]
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    tuned = "preference.template=short", "preference.epochs=1", "preference.max_new_tokens=3"
    commands.append(["prefer", *small, f"preference.source={tmp_path / 'pairs.json'}", *tuned])
    plans = shared_cli.run_several([[*command, "--dry-run"] for command in commands])
    answers = shared_cli.run_several(commands)
    assert [answer.code for answer in answers] == [0] * len(commands), answers
    release = next((shared_cli.home / "data" / "releases").iterdir())
    trained = next((shared_cli.home / "data" / "checkpoints").glob("*/step-*"))
    more = [
        ["import-gpt2", "name=small", f"gpt2.source={release}"],
        ["predict", "name=small", f"checkpoint={trained}", f"source={tmp_path / 'prompts.txt'}",
         "generation.max_new_tokens=2"],
        ["anatomy", "name=small", f"checkpoint={trained}", "anatomy.text=once upon"],
        ["compare-models", "name=small", f"benchmarks.checkpoints={trained}",
         f"benchmarks.lambada={tmp_path / 'lambada.jsonl'}"],
    ]  # fmt: skip
    plans += shared_cli.run_several([[*command, "--dry-run"] for command in more])
    answers += shared_cli.run_several(more)
    with_a_server = {"judge"}  # see test_judge.py
    assert {command[0] for command in (*commands, *more)} == set(FLOWS) - with_a_server
    for command, plan, answer in zip((*commands, *more), plans, answers, strict=True):
        assert stages_run(answer), f"{command[0]}: {answer.out}{answer.err}"
        assert stages_planned(plan) == stages_run(answer), command[0]
    again = ["run", *small, "limits.unpacked_ratio=7", "limits.memory_gib=64", "--dry-run"]
    assert " to do" not in shared_cli.run_several([again])[0].out, "no stage depends on a limit"
