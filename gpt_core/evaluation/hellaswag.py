"""HellaSwag: choose the plausible ending of a description out of four."""

from collections.abc import Sequence
from pathlib import Path

from gpt_core.errors import DataError
from gpt_core.evaluation.zero_shot import Question, Score, most_probable, tokenize_question
from gpt_core.text import read_objects
from gpt_core.tokenizers import Tokenizer


def read_hellaswag(file: Path, tokenizer: Tokenizer) -> list[Question]:
    """Read the contexts of HellaSwag and their four endings.

    Args:
        file: JSON lines with ``ctx``, ``endings`` and ``label`` (the published form), or with
            ``query``, ``choices`` and ``gold``.
        tokenizer: The model's tokenizer.

    Raises:
        DataError: If a key is missing or ``label`` is no index; the line is named.

    References:
        Zellers et al. 2019, "HellaSwag: Can a Machine Really Finish Your Sentence?".
    """
    questions = []
    for place, row in read_objects(file):
        names = ("query", "choices", "gold") if "query" in row else ("ctx", "endings", "label")
        missing = next((name for name in names if name not in row), None)
        if missing is not None:
            raise DataError(f"{file}, {place}: there is no {missing!r}")
        context, endings, gold = (row[name] for name in names)
        texts = [context, *endings] if isinstance(endings, list) else []
        if not texts or not all(isinstance(text, str) for text in texts):
            raise DataError(f"{file}, {place}: {names[0]} and {names[1]} must hold texts")
        if gold not in range(len(endings)):
            raise DataError(f"{file}, {place}: there is no choice {gold!r}")
        choices = [f" {ending}" for ending in endings]
        questions.append(tokenize_question(tokenizer, context, choices, gold))
    return questions


def hellaswag_metrics(
    questions: Sequence[Question], scores: Sequence[Sequence[Score]]
) -> dict[str, float]:
    """Accuracy by the choices' total log-probability, and by that per token (normalized)."""
    by_sum, by_mean = 0, 0
    for question, choices in zip(questions, scores, strict=True):
        sums = [choice.log_probability for choice in choices]
        by_sum += question.gold == sums.index(max(sums))
        by_mean += question.gold == most_probable(choices)
    return {
        "hellaswag_accuracy": by_sum / len(questions),
        "hellaswag_normalized": by_mean / len(questions),
    }
