"""A newcomer follows docs/first_model.md from a text of their own, with nothing but the page."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from reviews import write_reviews

pytestmark = [pytest.mark.long, pytest.mark.soak]

SHORT = {
    "pretrain": [
        "tokenizer.vocab_size=400",
        "training.steps=6",
        "schedule.warmup_steps=0",
        "training.tokens_per_step=512",
        "training.micro_batch=4",
        "training.eval_tokens=512",
    ],
    "classify": ["classification.epochs=1"],
    "instruct": ["instruction.epochs=1", "instruction.max_new_tokens=8"],
    "generate": ["max_new_tokens=8"],
}
"""Settings that make a command short; they come last and replace those of the page."""

ELSEWHERE = ("gptflow serve", "jupyter", "curl")
"""Commands that serve until they are stopped: tests/gpt_core/serving, tests/tasks/anatomy."""


def commands(page: str) -> list[list[str]]:
    """The words of each command that is executed, in the order of the page."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    assert all(line.startswith(("gptflow ", *ELSEWHERE)) for line in lines)
    return [shlex.split(line)[1:] for line in lines if not line.startswith(ELSEWHERE)]


class Reader:
    """Types the commands, and puts the directories that they print where the page says."""

    def __init__(self, cli: Any, folder: Path) -> None:
        self.cli, self.folder = cli, folder
        self.places: dict[str, str] = {}
        self.waiting: list[list[str]] = []
        self.shown: list[tuple[list[str], str]] = []

    def type(self, words: list[str]) -> None:
        """Type a command; those before it are executed once it needs what they print."""
        if any(word in ("DIR", "checkpoint=DIR", "CLASSIFIER") for word in words):
            missing = {"DIR", "CLASSIFIER"} & {word.rpartition("=")[2] for word in words}
            if not missing <= self.places.keys():
                self.press_enter()
        for name, place in self.places.items():
            words = [re.sub(rf"\b{name}\b", place, word) for word in words]
        for name in ("book.txt", "reviews.csv", "questions.json", "predicted.csv", "notebooks"):
            words = [
                re.sub(rf"(^|=){name}$", rf"\g<1>{self.folder / name}", word) for word in words
            ]
        short = [] if "--dry-run" in words else SHORT.get(words[0], [])
        at = len(words) - 1 if words[0] == "generate" else len(words)
        self.waiting.append([*words[:at], *short, *words[at:]])
        if "--dry-run" in words:  # a process of its own: it runs nothing, so it has no server
            self.press_enter()

    def press_enter(self) -> None:
        """Execute the commands that were typed."""
        for words, result in zip(self.waiting, self.cli.run_several(self.waiting), strict=True):
            assert result.code == 0, (words, result.err, result.out)
            self.shown.append((words, result.out))
            made = re.search(r"^  checkpoint +(\S+)", result.out, re.MULTILINE)
            name = {"pretrain": "DIR", "classify": "CLASSIFIER"}.get(words[0])
            if made and name:
                self.places.setdefault(name, str(self.cli.home / made[1]))
        self.waiting = []


def test_a_newcomer_sees_the_attention_of_a_model_of_their_own_text(
    module_cli: Any, tmp_path: Path, project_root: Path
) -> None:
    page = (project_root / "docs" / "first_model.md").read_text(encoding="utf-8")
    samples = project_root / "data" / "samples"
    shutil.copy(samples / "text" / "english.txt", tmp_path / "book.txt")
    write_reviews(tmp_path / "reviews.csv")
    [shown] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    ours = json.loads(shown)
    more = json.loads((samples / "instructions.json").read_text(encoding="utf-8"))[:90]
    (tmp_path / "questions.json").write_text(json.dumps([*ours, *more]), encoding="utf-8")
    reader = Reader(module_cli, tmp_path)
    for words in commands(page):
        reader.type(words)
    reader.press_enter()
    pages = [
        Path(match[1]).read_text(encoding="utf-8")
        for _, out in reader.shown
        for match in re.finditer(r"^  open it +(\S+)", out, re.MULTILINE)
    ]
    assert len(pages) == 3
    assert all("Attention" in each for each in pages)
    assert "The old man said nothing" in pages[0]
    assert len([*(tmp_path / "notebooks").glob("*.ipynb")]) >= 13
    assert len((tmp_path / "predicted.csv").read_text(encoding="utf-8").splitlines()) == 121
    by_command = {words[0]: out for words, out in reader.shown}
    assert re.search(r"model\.n_embd +128 +192", by_command["compare"])
    assert "book.txt" in by_command["lineage"]
    [release] = re.findall(r"^  release +(\S+)", by_command["release"], re.MULTILINE)
    assert (module_cli.home / release / "model.safetensors").is_file()
