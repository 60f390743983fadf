"""A checkpoint on public benchmarks: LAMBADA, HellaSwag, the perplexity of a text."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpt_core.artifact import Artifact
from gpt_core.config import Benchmark, BenchmarkConfig
from gpt_core.data import TOKENIZER
from gpt_core.errors import DataError
from gpt_core.evaluation.perplexity import detokenize_wikitext, text_metrics
from gpt_core.evaluation.report import write_report
from gpt_core.evaluation.zero_shot import (
    Question,
    Score,
    hellaswag_metrics,
    lambada_metrics,
    most_probable,
    read_hellaswag,
    read_lambada,
    score_choices,
)
from gpt_core.execution import resolve_device
from gpt_core.files import Progress
from gpt_core.models import GPT, load_model
from gpt_core.text import source_path
from gpt_core.tokenizers import Tokenizer, load_tokenizer

Rows = list[dict[str, Any]]
_EXAMPLES, _SHOWN_CHARACTERS = 10, 200  # of each kind in a table; of a context's end


def run_benchmarks(
    checkpoint: Artifact,
    sources: Mapping[Benchmark, Artifact],
    config: BenchmarkConfig,
    out_dir: Path,
    *,
    progress: Progress | None = None,
) -> Artifact:
    """What a checkpoint is worth on the benchmarks that are given.

    Args:
        checkpoint: A language model.
        sources: The benchmarks' files, registered.
        config: How they are run.
        out_dir: Where the report goes.
        progress: Told of ``questions`` and ``windows``.

    Returns:
        A report artifact with each benchmark's figures, and for LAMBADA and HellaSwag a table of
        right and wrong answers.

    Raises:
        ConfigError: If the device is not there.
        DataError: If no benchmark is given, or a file is not of its benchmark's form.
        CheckpointError: If the checkpoint is damaged or no language model.
    """
    if not sources:
        raise DataError("no benchmark is given: set benchmarks.lambada, hellaswag or text")
    model = load_model(checkpoint.directory, resolve_device(config.device))
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    metrics: dict[str, float] = {}
    tables: dict[str, Rows] = {}
    for name, source in sources.items():
        file = source_path(source)
        if name == "text":
            metrics |= _perplexity(model, tokenizer, file, config, progress)
            continue
        read = read_lambada if name == "lambada" else read_hellaswag
        questions = read(file, tokenizer)[: config.limit]
        if not questions:
            raise DataError(f"{file} has no question in it")
        scores = score_choices(model, questions, config.batch_size, progress=progress)
        if name == "lambada":
            metrics |= lambada_metrics(scores)
        else:
            metrics |= hellaswag_metrics(questions, scores)
        tables[name] = _examples(questions, scores, tokenizer)
    parents = (checkpoint, *sources.values())
    return write_report(out_dir, metrics, tables, config=config, parents=parents)


def _perplexity(
    model: GPT,
    tokenizer: Tokenizer,
    file: Path,
    config: BenchmarkConfig,
    progress: Progress | None,
) -> dict[str, float]:
    try:
        raw = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text: byte {error.start} cannot be read") from error
    text = detokenize_wikitext(raw) if config.detokenize == "wikitext" else raw
    return text_metrics(
        model,
        tokenizer,
        text,
        stride=min(config.stride, model.config.context_length),
        batch_size=config.batch_size,
        n_words=len(raw.split()),
        progress=progress,
    )


def _examples(
    questions: Sequence[Question], scores: Sequence[Sequence[Score]], tokenizer: Tokenizer
) -> Rows:
    """The first questions that were answered rightly, and the first that were not."""
    answers = zip(questions, scores, strict=True)
    rows = [_example(question, choices, tokenizer) for question, choices in answers]
    right = [row for row in rows if row["right"]][:_EXAMPLES]
    return right + [row for row in rows if not row["right"]][:_EXAMPLES]


def _example(question: Question, choices: Sequence[Score], tokenizer: Tokenizer) -> dict[str, Any]:
    gold = choices[question.gold]
    row = {
        "context": question.text[-_SHOWN_CHARACTERS:],
        "expected": tokenizer.decode(question.choices[question.gold]),
        "probability": math.exp(gold.log_probability),
    }
    if len(choices) == 1:
        return {"right": gold.greedy, **row}
    preferred = most_probable(choices)
    shown = tokenizer.decode(question.choices[preferred])
    return {"right": preferred == question.gold, **row, "preferred": shown}
