"""Every command that a page shows is executed, or has a reason why it is not.

Flows are planned (``--dry-run``), which reads their sources and settings and starts nothing; their
runs have tests of their own.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from reviews import write_reviews
from several import SEVERAL

from flows.__main__ import FLOWS
from gpt_core.artifact import Artifact
from gpt_core.config import load_config

FILES = {
    "SMSSpamCollection.tsv": "messages.tsv",
    "book.txt": "text/english.txt",
    "questions.json": "instructions.json",
    "TABLE": "messages.tsv",
    "bukhari_raw.txt": "text/arabic.txt",
    "instruction-data.json": "instructions.json",
    "pairs.jsonl": "preferences.json",
    "PATH": "text/english.txt",
    "books/**/*.txt": "text/*.txt",
    "0300AH/**/*-ara1": "text/ar*",
    "pages/": "text",
    "crawl.warc.wet.gz": "text/english.txt",
    "lines.jsonl.zst": "text/english.txt",
}
"""The sample that takes the place of a name in the pages."""

MODEL = (
    r"\b(?:DIR|TUNED|GPT2|OTHER|CLASSIFIER)\b|models:/language-model@\w+"
    r"|data/checkpoints/tiny-[\w/-]+\w"
)
"""Names of a language model, which a small one replaces."""

NOT_EXECUTED = {
    "make ": "installs, or runs everything; .ci/run calls the targets",
    "git clone URL": "URL is the reader's; tests/test_install.py installs a copy",
    ".venv/bin/python -m pytest": "tests themselves; tests/test_docs.py looks for their names",
    "source .venv/bin/activate": "changes a terminal",
    "export ": "sets addresses and passwords of the reader's; tests/security/test_databases.py",
    "cp compose.env.example": "tests/test_compose.py",
    "docker ": "needs Docker; tests/test_dockerfile.py, tests/test_compose.py",
    "prefect deployment run": "Prefect's own command; tests/flows/test_submitting.py",
    "torchrun": "two machines with GPUs; tests/distributed has two agents",
    "dask ": "serves until it is stopped; tests/tasks/test_dask_engine.py",
    "gptflow prepare --dry-run 'source=s3:": "of a bucket: tests/flows/test_object_sources.py",
    "gptflow prepare --dry-run source=file:": "of a folder: tests/flows/test_object_sources.py",
    "gptflow prepare engine.kind=dask": "needs a cluster; tests/tasks/test_dask_engine.py",
    "gptflow run store.uri=": "needs a bucket; tests/flows/test_shared_store.py",
    "curl ": "asks the server of a line before",
    "jupyter lab": "opens a browser; tests/tasks/anatomy runs the notebooks",
    "gptflow generate --instruct": "the newest of a home; tests/flows/test_adapting.py",
    "MLFLOW_TRACKING_URI=": "MLflow's own server; tests/tasks/tracking has the model that it loads",
    "gptflow up": "serves until it is stopped; tests/flows/test_serving.py",
    "gptflow serve": "serves until it is stopped; tests/flows/test_model_server.py",
    "gptflow deploy": "changes a server; tests/flows/test_deploying.py",
    "gptflow submit": "needs the server of gptflow up; tests/flows/test_submitting.py",
    "gptflow compare ": "needs two runs; tests/flows/test_comparison.py",
    "gptflow promote": "needs registered models; tests/flows/test_promoting.py",
    "gptflow clean": "removes artifacts of a home; tests/flows/test_cleaning.py",
    "gptflow backup": "tests/flows/test_upkeep.py",
    "gptflow restore": "tests/flows/test_upkeep.py",
    "gptflow adapters": "needs an adapter; tests/flows/test_adapting.py",
    "gptflow generate --checkpoint DIR --adapter": "needs an adapter; tests/flows/test_adapting.py",
    "gptflow judge": "needs another model's server; tests/flows/commands/test_judge.py",
    "gptflow instruct judge.url": "needs another model's server; tests/flows/test_judgements.py",
    "gptflow predict": "tests/flows/commands/test_predict.py",
    "gptflow lineage ": "tests/flows/test_lineage.py",
    "gptflow import-gpt2 gpt2.source=": "files of the reader; tests/gpt_core/interop",
    "gptflow prepare --dry-run cleaning.strip_addresses": "of the rule that the page adds",
    "gptflow prepare --dry-run tokenizer.kind=space": "of the tokenizer that the page adds",
    "gptflow lengths": "of the flow that the page adds; tests/docs/test_extending.py",
    "python -m benchmarks.english": "reads a folder of public texts; tests/test_english_text.py",
    "gptflow classify classification.source=train.tsv": "tests/flows/commands/test_classify.py",
    "gptflow classify classification.source=rt-polaritydata": "encodings: tests/gpt_core/text",
}
"""The beginnings of commands that are not executed here, with the reason or the test that does."""

ELSEWHERE = re.compile("--preset english|checkpoint=GPT2")
"""Commands whose public data or tables are not in the samples: only their settings are read."""


def shown(root: Path) -> list[tuple[str, str]]:
    """Each page and command of a fenced block."""
    pages = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]
    found = []
    for page in pages:
        name = page.relative_to(root).as_posix()
        if name.startswith("docs/reference/"):
            continue
        blocks = re.findall(
            r"^```(?:bash|sh|shell|console)\n(.*?)^```", page.read_text("utf-8"), re.S | re.M
        )
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        found += [(name, line.strip()) for line in lines if not re.match(r"\s*(#|$)", line)]
    return found


def reason(command: str) -> str | None:
    """Why a command is not executed."""
    return next((why for start, why in NOT_EXECUTED.items() if command.startswith(start)), None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, sample_shards: Artifact) -> Path:
    """A language model of one step."""
    from gpt_core.training import pretrain

    settings = [
        "model.n_layer=1", "model.n_head=2", "model.n_embd=32", "model.context_length=256",
        "training.steps=1", "training.tokens_per_step=512", "training.micro_batch=2",
        "training.eval_tokens=512", "schedule.warmup_steps=0",
    ]  # fmt: skip
    config = load_config("tiny", settings=settings).pretrain
    return pretrain(sample_shards, config, tmp_path_factory.mktemp("model") / "run").directory


def arguments(command: str, model: Path, folder: Path, samples: Path) -> list[str]:
    """The words of a command, with samples for what the reader would name."""
    words = shlex.split(re.sub(MODEL, str(model), command), comments=True)[1:]
    for name, sample in FILES.items():
        words = [
            re.sub(rf"(?<==){re.escape(name)}$", str(samples / sample), word) for word in words
        ]
    for name in ("mine.toml", "reviews.csv"):
        words = [word.replace(name, str(folder / name)) for word in words]
    if words[0] == "anatomy" and "--checkpoint" not in words:  # the newest of a home
        words[1:1] = ["--checkpoint", str(model)]
    flow = FLOWS.get(words[0])
    return [*words, "--dry-run"] if flow and "--dry-run" not in words else words


def test_each_command_is_executed_or_has_a_reason(
    model: Path, tmp_path: Path, project_root: Path
) -> None:
    page = (project_root / "docs/how_to/your_text.md").read_text(encoding="utf-8")
    [settings] = re.findall(r"```toml\n(# mine\.toml\n.*?)```", page, re.DOTALL)
    (tmp_path / "mine.toml").write_text(settings, encoding="utf-8")
    write_reviews(tmp_path / "reviews.csv")
    executed = [
        (page, command)
        for page, command in shown(project_root)
        if reason(command) is None and not ELSEWHERE.search(command)
    ]
    assert len(executed) >= 35
    assert all(command.startswith("gptflow ") for _, command in executed), executed
    samples = project_root / "data" / "samples"
    results = run(
        [arguments(c, model, tmp_path, samples) for _, c in executed], tmp_path, project_root
    )
    failed = [
        (*shown, *result) for shown, result in zip(executed, results, strict=True) if result[0]
    ]
    assert not failed


def test_settings_of_commands_with_data_that_is_elsewhere_load(project_root: Path) -> None:
    commands = [c for _, c in shown(project_root) if ELSEWHERE.search(c) and not reason(c)]
    assert commands
    for command in commands:
        words = shlex.split(command, comments=True)
        settings = [word for word in words[2:] if "=" in word]
        load_config("tiny", settings=[FLOWS[words[1]].resolve_alias(each) for each in settings])


def test_each_reason_is_of_a_command_that_is_shown(project_root: Path) -> None:
    commands = [command for _, command in shown(project_root)]
    unused = [start for start in NOT_EXECUTED if not any(c.startswith(start) for c in commands)]
    assert not unused
    named = re.findall(r"tests/[\w/.]+", " ".join(NOT_EXECUTED.values()))
    assert not [path for path in named if not (project_root / path.rstrip(".")).exists()]


def run(commands: Sequence[Sequence[str]], home: Path, root: Path) -> list[tuple[int, str, str]]:
    """Exit code and output of each command, all executed in one process."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    environment = {
        **own,
        "GPTFLOW_HOME": str(home / "home"),
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL], input=json.dumps([({}, list(c)) for c in commands]),
        cwd=root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [tuple(each) for each in json.loads(done.stdout)]
