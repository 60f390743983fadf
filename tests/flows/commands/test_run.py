"""One command makes everything, a second one nothing, a changed setting what depends on it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run

STAGES = [
    "clean_corpus",
    "train_tokenizer",
    "encode_corpus",
    "pretrain",
    "evaluate_language_model",
    "fit_baselines",
    "finetune_classifier",
    "summarize_classifiers",
    "finetune_instructions",
]


@pytest.fixture(scope="module")
def first(shared_cli: Any, small: list[str]) -> Any:
    answer = shared_cli.run("run", *small)
    assert answer.code == 0, answer.out + answer.err
    return answer


@pytest.fixture(scope="module")
def later(shared_cli: Any, small: list[str], first: Any) -> list[Any]:
    """The same run again, then with a setting changed in three ways."""
    settings: tuple[list[str], ...] = (
        [],
        ["classification.learning_rate=0.001"],
        ["generation.seed=1", "training.steps=13"],
        ["name=other"],
    )
    answers: list[Any] = shared_cli.run_several([["run", *small, *more] for more in settings])
    assert [answer.code for answer in answers] == [0] * 4, answers
    return answers


@pytest.fixture(scope="module")
def second(later: list[Any]) -> Any:
    return later[0]


@pytest.fixture(scope="module")
def changed(later: list[Any]) -> list[Any]:
    return later[1:]


def done_now(answer: Any) -> list[str]:
    return re.findall(r"^✓ (\w+) \([\d.]+ s\)", answer.out, re.M)


def there_already(answer: Any) -> list[str]:
    return re.findall(r"^✓ (\w+) \(there already\)", answer.out, re.M)


def recorded_runs(shared_cli: Any) -> list[Run]:
    store = shared_cli.mlflow_client()
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    return list(store.search_runs(experiments, order_by=["attributes.start_time"]))


def manifests(shared_cli: Any) -> list[dict[str, Any]]:
    files = (shared_cli.home / "data").rglob("manifest.json")
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def test_a_run_makes_every_kind_of_artifact(shared_cli: Any, first: Any) -> None:
    assert done_now(first) == STAGES
    kinds = {manifest["kind"] for manifest in manifests(shared_cli)}
    assert kinds == {"raw", "documents", "tokenizer", "shards", "checkpoint", "report"}
    assert shared_cli.partial_files() == []


def test_a_run_ends_with_metrics_a_sample_paths_and_next_commands(
    shared_cli: Any, first: Any
) -> None:
    _, _, end = first.out.partition("Done in")
    for figure in ("a bigram's", "untrained", "perplexity", "bits per byte", "accuracy", "ROUGE-L"):
        assert figure in end
    assert "The model writes:" in end
    report = re.search(r"report +(\S+)", end.partition("Made:")[2])
    assert report is not None
    assert (Path(shared_cli.root) / report[1] / "report.json").is_file()
    command = re.search(r"gptflow generate --checkpoint (\S+) \"(.+)\"", end)
    assert command is not None
    written = shared_cli.run("generate", "--checkpoint", command[1], "max_new_tokens=5", command[2])
    assert written.code == 0
    assert written.out.startswith(command[2])


def test_a_run_prints_its_loss_line_by_line_without_a_terminal(first: Any) -> None:
    assert re.search(r"pretrain: step 4 of 12, loss \d\.\d+, .* s left", first.out)
    assert "\x1b" not in first.out
    assert first.err == ""


def test_mlflow_has_a_run_for_each_stage_below_the_flow(shared_cli: Any, first: Any) -> None:
    runs = recorded_runs(shared_cli)
    flow = next(run for run in runs if run.data.tags["stage"] == "run")
    below = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == flow.info.run_id]
    assert [run.data.tags["stage"] for run in below] == STAGES
    assert {run.info.status for run in (flow, *below)} == {"FINISHED"}
    assert flow.data.params["training.steps"] == "12"
    assert flow.data.metrics["result/test_loss"] > 0
    trained = next(run for run in below if run.data.tags["stage"] == "pretrain")
    assert trained.data.params["model.n_embd"] == "32"
    client = shared_cli.mlflow_client()
    for run_id, name in ((trained.info.run_id, "train/loss"), (flow.info.run_id, "loss/train")):
        assert [m.step for m in client.get_metric_history(run_id, name)] == [4, 8, 12]
    names = {model.name for model in client.search_registered_models()}
    assert {"language-model", "classifier-ham-spam", "instruction-follower"} <= names


def test_prefect_has_every_task_run_completed(shared_cli: Any, first: Any) -> None:
    flow = shared_cli.ask_prefect("flow_runs", {"sort": "START_TIME_ASC"})[0]
    assert flow["state"]["type"] == "COMPLETED"
    assert flow["parameters"]["config"]["training"]["steps"] == 12
    tasks = shared_cli.ask_prefect("task_runs", {"flow_runs": {"id": {"any_": [flow["id"]]}}})
    assert {task["state"]["type"] for task in tasks} == {"COMPLETED"}
    roles = ("text", "classification", "instruction")
    fetched = [f"fetch_corpus ({role})" for role in roles]
    assert sorted(task["name"] for task in tasks) == sorted([*STAGES, *fetched])


def test_a_second_run_does_no_work(shared_cli: Any, second: Any) -> None:
    assert done_now(second) == []
    assert there_already(second) == STAGES
    flows = [run for run in recorded_runs(shared_cli) if run.data.tags["stage"] == "run"]
    again = flows[1].info.run_id
    below = [r for r in recorded_runs(shared_cli) if r.data.tags.get("mlflow.parentRunId") == again]
    assert below == []
    assert flows[1].data.metrics == flows[0].data.metrics


def test_a_changed_setting_runs_what_depends_on_it(changed: list[Any]) -> None:
    fine_tune, training, renamed = changed
    assert done_now(fine_tune) == ["finetune_classifier", "summarize_classifiers"]
    assert done_now(training) == [each for each in STAGES[3:] if each != "fit_baselines"]
    assert done_now(renamed) == []


def test_the_plan_says_what_is_done(shared_cli: Any, small: list[str], changed: list[Any]) -> None:
    expected = {"name=small": 9, "training.steps=14": 4, "tokenizer.vocab_size=390": 2}
    plans = shared_cli.run_several([["run", "--dry-run", *small, setting] for setting in expected])
    done = [len(re.findall(r"^\w+ +done ", plan.out, re.M)) for plan in plans]
    assert done == list(expected.values())


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def shards_below(shared_cli: Any, checkpoint: Path) -> Path:
    """The shards that a checkpoint was trained on."""
    parents = json.loads((checkpoint / "manifest.json").read_text("utf-8"))["parents"].values()
    found: Path = next(
        directory
        for directory in (shared_cli.home / "data" / "shards").iterdir()
        if json.loads((directory / "manifest.json").read_text("utf-8"))["fingerprint"] in parents
    )
    return found


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    english = project_root / "data" / "samples" / "text" / "english.txt"
    (folder / "small.txt").write_bytes(english.read_bytes()[:20_000])
    (folder / "short.txt").write_text("A sentence.\n\nAnd one more, hardly longer.\n")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 20)
    (folder / "latin.txt").write_bytes("Voilà déjà un été\n\n".encode("latin-1") * 50)
    (folder / "table.csv").write_text("title,body\none,two\n")
    return folder


def test_bad_text_is_one_sentence_before_anything_starts_or_a_failed_flow_run(
    shared_cli: Any, small: list[str], second: Any, bad: Path
) -> None:
    short = ["source=short.txt", "tokenizer.kind=byte", "tokenizer.vocab_size=none"]
    cases = [
        (["source=binary.txt"], "binary.txt is a binary file, not text"),
        (["source=latin.txt"], "latin.txt is not utf-8: byte 0xe0 at offset 4 (line 1)"),
        (["source=table.csv"], "table.csv has no column 'text'; it has title, body"),
        (short, "but model.context_length=64 needs 65"),
        (["source=small.txt", "tokenizer.vocab_size=9000"], "vocabulary of at most"),
        (["source=small.txt", "reading.split=file"], "falls into the test part"),
    ]
    commands = [
        ["pretrain", *small, *(s.replace("source=", f"source={bad}/") for s in settings)]
        for settings, _ in cases
    ]
    commands[-1][0] = "evaluate"
    answers = shared_cli.run_several(commands)
    for answer, (_, sentence) in zip(answers, cases, strict=True):
        assert sentence in answer.user_error()
    failed = shared_cli.ask_prefect(
        "flow_runs", {"flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}}
    )
    (message,) = (run["state"]["message"] for run in failed)
    assert "vocabulary of at most" in message  # which only the training of a tokenizer tells
    assert shared_cli.partial_files() == []


def test_a_flipped_byte_is_reported_and_nothing_is_made_from_it(
    shared_cli: Any, small: list[str], second: Any
) -> None:
    weights = re.search(r"--checkpoint (\S+) ", second.out)
    assert weights is not None
    file = Path(shared_cli.root) / weights[1] / "model.safetensors"
    shard = next((shards_below(shared_cli, file.parent) / "train").glob("part-*.parquet"))
    for damaged in (shard, file):
        flip_a_byte(damaged)
    answers = shared_cli.run_several(
        [
            ["pretrain", *small, "training.steps=15"],
            ["classify", *small, f"checkpoint={file.parent}", "classification.seed=2"],
            ["generate", "--checkpoint", str(file.parent), "prompt"],
        ]
    )
    for damaged in (shard, file):
        flip_a_byte(damaged)
    for answer, damaged in zip(answers, (shard, file, file), strict=True):
        assert f"{damaged} was altered since it was written" in answer.user_error()
    assert shared_cli.partial_files() == []


def test_two_processes_are_recorded_as_one_and_do_not_change_the_key(
    shared_cli: Any, small: list[str], first: Any
) -> None:
    settings = ["pretrain", *small, "training.seed=5", "training.micro_batch=4"]
    before = {run.info.run_id for run in recorded_runs(shared_cli)}
    answer = shared_cli.run(*settings, "launch.processes=2", "launch.strategy=fsdp")
    assert answer.code == 0, answer.out + answer.err
    assert "2 × cpu, shards (FSDP)" in answer.out
    assert done_now(answer) == ["pretrain"]
    new = [run for run in recorded_runs(shared_cli) if run.info.run_id not in before]
    (stage,) = [run for run in new if "mlflow.parentRunId" in run.data.tags]
    history = shared_cli.mlflow_client().get_metric_history(stage.info.run_id, "train/loss")
    assert [metric.step for metric in history] == [4, 8, 12]
    again = shared_cli.run(*settings)
    assert "pretrain" in there_already(again)
