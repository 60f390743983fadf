"""LAMBADA: predict the last word of a passage."""

from collections.abc import Sequence
from pathlib import Path

from gpt_core.errors import DataError
from gpt_core.evaluation.zero_shot import Question, Score, tokenize_question
from gpt_core.models import perplexity
from gpt_core.text import read_objects
from gpt_core.tokenizers import Tokenizer


def read_lambada(file: Path, tokenizer: Tokenizer) -> list[Question]:
    """Read the passages of LAMBADA: the last word is the only choice, the rest the context.

    Args:
        file: JSON lines with ``text``, in OpenAI's form.
        tokenizer: The model's tokenizer.

    Raises:
        DataError: If a line has no such text; it is named.

    References:
        Paperno et al. 2016, "The LAMBADA dataset"; Radford et al. 2019, section 3.3.
    """
    questions = []
    for place, row in read_objects(file):
        text = row.get("text")
        if not isinstance(text, str) or len(text.split()) < 2:
            raise DataError(f"{file}, {place}: 'text' must be a passage of several words")
        context, _, word = text.rstrip().rpartition(" ")
        questions.append(tokenize_question(tokenizer, context, [f" {word}"], gold=0))
    return questions


def lambada_metrics(
    questions: Sequence[Question], scores: Sequence[Sequence[Score]]
) -> dict[str, float]:
    """Accuracy (all tokens of the last word are greedy) and perplexity per last word."""
    words = [score for (score,) in scores]
    mean_nats = -sum(word.log_probability for word in words) / len(questions)
    return {
        "lambada_accuracy": sum(word.greedy for word in words) / len(questions),
        "lambada_perplexity": perplexity(mean_nats),
    }
