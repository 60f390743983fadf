"""Every stage of the pipeline as code for a forked process, on inputs of a second."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

PRELUDE = """
from pathlib import Path
from gpt_core.artifact import read_artifact
from gpt_core.config import *
from gpt_core.config import load_config
inputs, out = Path({inputs!r}), Path({out!r})
def made(name):
    return read_artifact(inputs / name)
def best(name):
    from gpt_core.training.checkpoint import require_best
    return require_best(inputs / name)
settings = {settings!r}
config = load_config("tiny", settings=settings)
"""

SETTINGS = [
    "tokenizer.kind=bpe", "tokenizer.vocab_size=300", "shards.workers=1",
    "model.n_layer=1", "model.n_head=2",
    "model.n_embd=16", "model.context_length=128", "model.vocab_size=300",
    "schedule.warmup_steps=2", "training.steps=12",
    "training.tokens_per_step=512", "training.micro_batch=2", "training.log_every=2",
    "training.eval_every=4", "training.eval_tokens=512", "training.sample_every=12",
    "training.save_every=4", "training.keep_last=2", "evaluation.max_tokens=512",
    "generation.max_new_tokens=4", "classification.epochs=1", "classification.max_tokens=8",
    "classification.batch_size=8", "classification.save_seconds=0",
    "instruction.epochs=1", "instruction.max_new_tokens=2", "instruction.save_seconds=0",
]  # fmt: skip

STAGES = {
    "register_source": """
from gpt_core.text import register_source
register_source(inputs / "text.txt", out)
""",
    "clean_corpus": """
from gpt_core.text import clean_corpus
clean_corpus(made("register_source"), config.reading, config.cleaning, out)
""",
    "train_tokenizer": """
from gpt_core.tokenizers import train_tokenizer
train_tokenizer(made("clean_corpus"), config.tokenizer, out)
""",
    "encode_corpus": """
from gpt_core.data import encode_corpus
encode_corpus(made("clean_corpus"), made("train_tokenizer"), config.shards, out)
""",
    "pretrain": """
from gpt_core.training import pretrain
pretrain(made("encode_corpus"), config.pretrain, out)
""",
    "evaluate_language_model": """
from gpt_core.evaluation import evaluate_language_model
evaluate_language_model(
    best("pretrain"), made("encode_corpus"), config.evaluation, config.generation, out
)
""",
    "finetune_classifier": """
from gpt_core.finetuning import finetune_classifier
finetune_classifier(
    best("pretrain"), made("messages"), config.classification, config.lora, out
)
""",
    "predict_file": """
from gpt_core.prediction import predict_file
few = PredictionConfig(part_rows=16)
predict_file(made("finetune_classifier"), made("messages"), few, config.generation, out)
""",
    "finetune_instructions": """
from gpt_core.finetuning import finetune_instructions
finetune_instructions(
    best("pretrain"), made("instructions"), config.instruction, config.lora, out
)
""",
    "export_huggingface": """
from gpt_core.interop import export_huggingface
export_huggingface(best("pretrain"), out)
""",
    "import_gpt2": """
from gpt_core.interop import import_gpt2
import_gpt2(inputs / "export_huggingface", out)
""",
    "measure_tokenizer": """
from gpt_core.evaluation import measure_tokenizer
measure_tokenizer(made("clean_corpus"), made("train_tokenizer"), ComparisonConfig(), out)
""",
    "compare_tokenizers": """
from gpt_core.evaluation import compare_tokenizers
compare_tokenizers([made("measure_tokenizer")], out)
""",
    "run_benchmarks": """
from gpt_core.evaluation import run_benchmarks
names = {"lambada": "lambada", "hellaswag": "hellaswag", "text": "register_source"}
sources = {name: made(folder) for name, folder in names.items()}
run_benchmarks(best("pretrain"), sources, BenchmarkConfig(limit=20, stride=64), out)
""",
    "compare_models": """
from gpt_core.evaluation import compare_models
compare_models([made("run_benchmarks")], out)
""",
    "download": """
from gpt_core.download import download
import json
request = json.loads((inputs / "download.json").read_text())
download(request["url"], out / "file", sha256=request["sha256"], size=request["size"])
""",
}
"""The code of each stage, in their order; it reads ``inputs`` and writes ``out``."""

_ALWAYS = ("clean_corpus", "encode_corpus", "pretrain", "finetune_instructions", "download")
SAMPLED_STAGES = [
    name if name in _ALWAYS else pytest.param(name, marks=pytest.mark.soak) for name in STAGES
]
"""A stage of each way of writing; the others, which write in the same ways, in the battery."""

TIMED = ("seconds", "tokens_per_second", "per_second")
"""Parts of the names of metrics that depend on the clock."""


@dataclass(frozen=True)
class Inputs:
    """A folder with the inputs of all stages."""

    folder: Path

    def code(self, stage: str, out: Path) -> str:
        """The code that runs a stage."""
        head = PRELUDE.format(inputs=str(self.folder), out=str(out), settings=SETTINGS)
        return head + STAGES[stage]


def write_sources(samples: Path, folder: Path) -> None:
    """Write small parts of the samples, registered as sources."""
    from gpt_core.text import register_source

    text = (samples / "text" / "english.txt").read_text("utf-8")
    (folder / "text.txt").write_text(text[:20_000], "utf-8")
    messages = (samples / "messages.tsv").read_text("utf-8").splitlines(keepends=True)
    (folder / "messages.tsv").write_text("".join(messages[:61]), "utf-8")
    examples = json.loads((samples / "instructions.json").read_text("utf-8"))
    examples.sort(key=lambda each: len(each["instruction"] + each["input"] + each["output"]))
    (folder / "instructions.json").write_text(json.dumps(examples[:40]), "utf-8")
    passages = [{"text": f"the {n} words are {n}"} for n in range(40)]
    endings = [{"query": f"the {n}", "choices": ["a b", "c"], "gold": n % 2} for n in range(40)]
    for name, rows in (("lambada", passages), ("hellaswag", endings)):
        content = "".join(f"{json.dumps(row)}\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(content, "utf-8")
        register_source(folder / f"{name}.jsonl", folder / name)
    register_source(folder / "messages.tsv", folder / "messages")
    register_source(folder / "instructions.json", folder / "instructions")


def content_of(out: Path) -> dict[str, str]:
    """The hash of every file, without what depends on the clock; hidden files are an error."""
    found = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        name = path.relative_to(out).as_posix()
        if path.name in ("run.lock", "run.pid"):
            continue
        content = path.read_bytes()
        if path.suffix in (".json", ".jsonl"):
            rows = (
                [json.loads(line) for line in content.splitlines()]
                if (path.suffix == ".jsonl")
                else [json.loads(content)]
            )
            content = json.dumps([_timeless(row) for row in rows]).encode()
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: _timeless(each)
            for key, each in value.items()
            if not any(part in str(key) for part in TIMED)
        }
    return [_timeless(each) for each in value] if isinstance(value, list) else value
