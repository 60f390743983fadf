"""The steps of ``docs/how_to/extend.md``, followed in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STEP = re.compile(
    r"^New file `(?P<new>[^`]+)`:\n\n```python\n(?P<content>.*?)^```"
    r"|^At the end of `(?P<end>[^`]+)`:\n\n```python\n(?P<last>.*?)^```"
    r"|^In `(?P<file>[^`]+)`, (?P<where>before|after) `(?P<line>[^`]+)`:\n\n"
    r"```python\n(?P<code>.*?)^```"
    r"|^In `(?P<changed>[^`]+)`, replace `(?P<old>[^`]+)` by `(?P<rest>[^`]+)`\.",
    re.DOTALL | re.MULTILINE,
)
ADDED = """
import doctest, json, sys
from pathlib import Path
from gpt_core.artifact import Artifact
from gpt_core.config import load_config
from gpt_core.evaluation import benchmarks, pairs
from gpt_core.text import english, lengths, register_source, clean_corpus
from gpt_core.tokenizers import load_tokenizer, space, train_tokenizer

out = Path(sys.argv[1])
for module in (english, space):
    results = doctest.testmod(module)
    assert results.attempted and not results.failed, module
lines = "One https://a.example/b two three.\\n\\n" * 2
(out / "text.txt").write_text(lines + "More words.", "utf-8")
config = load_config("tiny", settings=[
    "cleaning.strip_addresses=true", "tokenizer.kind=space", "tokenizer.vocab_size=none",
    "cleaning.validation_share=0", "cleaning.test_share=0", "benchmarks.pairs=pairs.jsonl",
])
raw = register_source(out / "text.txt", out / "raw")
corpus = clean_corpus(raw, config.reading, config.cleaning, out / "corpus")
tokenizer = load_tokenizer(train_tokenizer(corpus, config.tokenizer, out / "tokenizer").directory)
assert tokenizer.decode(tokenizer.encode("More words.")) == "More words."
assert "https" not in "".join(tokenizer.units)
report = lengths.measure_lengths(corpus, out / "report")
assert report.metrics()["characters"] == (len("One two three.") + len("More words.")) / 2
row = {"good": "More words.", "bad": "words. More"}
(out / "pairs.jsonl").write_text(json.dumps(row), "utf-8")
benchmarks.check_benchmark("pairs", out / "pairs.jsonl")
[question] = pairs.read_pairs(out / "pairs.jsonl", tokenizer)
scores = [[pairs.Score(-1.0, 2, False), pairs.Score(-2.0, 2, False)]]
assert pairs.pairs_metrics([question], scores) == {"pairs_accuracy": 1.0}
assert "pairs" in benchmarks._RUNNERS
print("all four")
"""
PLAN = """
import sys
from flows.__main__ import main
sys.argv = ["gptflow", "lengths", "--dry-run", "cleaning.strip_addresses=true"]
main()
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """A copy of the packages after all steps of the page."""
    root = tmp_path_factory.mktemp("extended")
    for name in ("gpt_core", "tasks", "flows"):
        shutil.copytree(
            project_root / name, root / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    (root / "mlflow").mkdir()
    (root / "data").symlink_to(project_root / "data")
    shutil.copy(project_root / "pyproject.toml", root)
    page = (project_root / "docs/how_to/extend.md").read_text(encoding="utf-8")
    steps = list(STEP.finditer(page))
    assert len(steps) == page.count("```python") + page.count(", replace `")
    for step in steps:
        follow(root, step)
    return root


def follow(root: Path, step: "re.Match[str]") -> None:
    """Change the copy as a step says."""
    if step["new"]:
        (root / step["new"]).write_text(step["content"], encoding="utf-8")
        return
    file = root / (step["end"] or step["file"] or step["changed"])
    text = file.read_text(encoding="utf-8")
    if step["end"]:
        text += step["last"]
    elif step["changed"]:
        assert text.count(step["old"]) == 1, step[0]
        text = text.replace(step["old"], step["rest"])
    else:
        line = step["line"].replace("\\n", "\n")
        assert text.count(line) == 1, step[0]
        at = text.index(line) + (len(line) + 1 if step["where"] == "after" else 0)
        text = text[:at] + step["code"] + text[at:]
    file.write_text(text, encoding="utf-8")


def python(root: Path, home: Path, *arguments: str) -> str:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    environment = {**own, "GPTFLOW_HOME": str(home), "COLUMNS": "200", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rule_the_tokenizer_the_stage_and_the_benchmark_work(
    extended: Path, tmp_path: Path
) -> None:
    assert python(extended, tmp_path, "-c", ADDED, str(tmp_path)) == "all four\n"


def test_the_flow_is_planned(extended: Path, tmp_path: Path) -> None:
    plan = python(extended, tmp_path, "-c", PLAN)
    assert "measure_lengths" in plan


def test_the_steps_pass_the_project_s_style(extended: Path, project_root: Path) -> None:
    check = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "-q",
        "gpt_core",
        "tasks",
        "flows",
    ]
    done = subprocess.run(check, cwd=extended, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
