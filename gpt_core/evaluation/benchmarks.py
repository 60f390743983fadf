"""Evaluate a checkpoint on public benchmarks: LAMBADA, HellaSwag, the perplexity of a text.

To add a benchmark, add its setting to ``BenchmarkConfig``, its name to ``Benchmark`` and its
runner to ``_RUNNERS``; for multiple-choice questions a reader and a metric suffice.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

from gpt_core.artifact import Artifact
from gpt_core.checkpoints import TOKENIZER
from gpt_core.config import Benchmark, BenchmarkConfig
from gpt_core.errors import DataError
from gpt_core.evaluation.hellaswag import hellaswag_metrics, read_hellaswag
from gpt_core.evaluation.lambada import lambada_metrics, read_lambada
from gpt_core.evaluation.perplexity import detokenize_wikitext, text_metrics
from gpt_core.evaluation.report import Rows, write_report
from gpt_core.evaluation.zero_shot import Question, Score, most_probable, score_choices
from gpt_core.execution import resolve_device
from gpt_core.files import Progress
from gpt_core.models import GPT, load_model
from gpt_core.text import file_errors, local_path
from gpt_core.tokenizers import ByteTokenizer, Tokenizer, load_tokenizer

_MAX_EXAMPLES = 10  # correct ones, and wrong ones, in the table of a benchmark
_CONTEXT_CHARACTERS = 200  # of an example, counted from the end


def run_benchmarks(
    checkpoint: Artifact,
    sources: Mapping[Benchmark, Artifact],
    config: BenchmarkConfig,
    out_dir: Path,
    *,
    progress: Progress | None = None,
) -> Artifact:
    """Evaluate a checkpoint on the configured benchmarks.

    Args:
        checkpoint: A language model.
        sources: Each benchmark's registered file.
        config: Limits, batch size, stride and device.
        out_dir: Directory of the report.
        progress: Receives ``questions`` and ``windows``.

    Returns:
        A report artifact with the metrics of each benchmark, and for multiple-choice questions a
        table of correct and wrong examples under the benchmark's name.

    Raises:
        ConfigError: If the device is not available.
        DataError: If no benchmark is given, or a file does not have its benchmark's format.
        CheckpointError: If the checkpoint is damaged or is not a language model.
    """
    if not sources:
        *others, last = get_args(Benchmark)
        raise DataError(f"no benchmark is given: set benchmarks.{', '.join(others)} or {last}")
    model = load_model(checkpoint.directory, resolve_device(config.device))
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    metrics: dict[str, float] = {}
    tables: dict[str, Rows] = {}
    for name, source in sources.items():
        run = _Run(model, tokenizer, local_path(source), config, progress)
        found, examples = _RUNNERS[name](run)
        metrics |= found
        if examples:
            tables[name] = examples
    parents = (checkpoint, *sources.values())
    return write_report(out_dir, metrics, tables, config=config, parents=parents)


def check_benchmark(name: Benchmark, file: Path) -> None:
    """Read a benchmark without a model, so that a wrong file is found before anything starts.

    Raises:
        DataError: If the file cannot be read, naming the line, or has no question or no text.
    """
    with file_errors(file):
        if name in _READERS:
            if not _READERS[name](file, ByteTokenizer()):
                raise DataError(f"{file} has no question in it")
            return
        if not _read_text(file).strip():
            raise DataError(f"{file} holds nothing but white space: there is no text to measure")


@dataclass(frozen=True, slots=True)
class _Run:
    """One checkpoint on one benchmark's file."""

    model: GPT
    tokenizer: Tokenizer
    file: Path
    config: BenchmarkConfig
    progress: Progress | None


def _run_questions(
    run: _Run,
    *,
    read: Callable[[Path, Tokenizer], list[Question]],
    metrics: Callable[[Sequence[Question], Sequence[Sequence[Score]]], dict[str, float]],
) -> tuple[dict[str, float], Rows]:
    """Score multiple-choice questions."""
    questions = read(run.file, run.tokenizer)[: run.config.limit]
    if not questions:
        raise DataError(f"{run.file} has no question in it")
    scores = score_choices(run.model, questions, run.config.batch_size, progress=run.progress)
    return metrics(questions, scores), _examples(questions, scores, run.tokenizer)


def _run_text(run: _Run) -> tuple[dict[str, float], Rows]:
    """Compute the perplexity of a text."""
    raw = _read_text(run.file)
    metrics = text_metrics(
        run.model,
        run.tokenizer,
        detokenize_wikitext(raw) if run.config.detokenize == "wikitext" else raw,
        stride=min(run.config.stride, run.model.config.context_length),
        batch_size=run.config.batch_size,
        n_words=len(raw.split()),
        progress=run.progress,
    )
    return metrics, []


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text: byte {error.start} cannot be read") from error


_READERS: dict[Benchmark, Callable[[Path, Tokenizer], list[Question]]] = {
    "lambada": read_lambada,
    "hellaswag": read_hellaswag,
}
_RUNNERS: dict[Benchmark, Callable[[_Run], tuple[dict[str, float], Rows]]] = {
    "lambada": partial(_run_questions, read=read_lambada, metrics=lambada_metrics),
    "hellaswag": partial(_run_questions, read=read_hellaswag, metrics=hellaswag_metrics),
    "text": _run_text,
}
"""For each benchmark, its metrics and a table of examples, which may be empty."""


def _examples(
    questions: Sequence[Question], scores: Sequence[Sequence[Score]], tokenizer: Tokenizer
) -> Rows:
    """The first questions that were answered correctly, then the first that were not."""
    answers = zip(questions, scores, strict=True)
    rows = [_example(question, choices, tokenizer) for question, choices in answers]
    correct = [row for row in rows if row["right"]][:_MAX_EXAMPLES]
    return correct + [row for row in rows if not row["right"]][:_MAX_EXAMPLES]


def _example(
    question: Question, scores: Sequence[Score], tokenizer: Tokenizer
) -> dict[str, object]:
    gold = scores[question.gold]
    row: dict[str, object] = {
        "context": question.text[-_CONTEXT_CHARACTERS:],
        "expected": tokenizer.decode(question.choices[question.gold]),
        "probability": math.exp(gold.log_probability),
    }
    if len(scores) == 1:
        return {"right": gold.greedy, **row}
    preferred = most_probable(scores)
    preferred_text = tokenizer.decode(question.choices[preferred])
    return {"right": preferred == question.gold, **row, "preferred": preferred_text}
