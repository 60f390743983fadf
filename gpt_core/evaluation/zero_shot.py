"""What a language model knows without having been tuned: LAMBADA and HellaSwag.

A choice is scored by the log-probability of its tokens after the context. Questions whose contexts
are equally long go through the model together without padding; the choices of one question share
the keys and values of its context, which is computed once.

Shapes: B questions, N choices, T time, C width, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpt_core.errors import DataError
from gpt_core.files import Progress, read_json_lines
from gpt_core.models import GPT, KVCache, evaluating, perplexity
from gpt_core.tokenizers import Tokenizer

_MOST_POSITIONS = 1024  # whose logits are computed at once


@dataclass(frozen=True, slots=True)
class Question:
    """A context and the ways in which it might go on."""

    context: tuple[int, ...]
    """At least one id."""

    choices: tuple[tuple[int, ...], ...]
    """At least one id each."""

    gold: int
    """The right choice; 0 where there is only one."""

    text: str
    """For the tables of examples."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a model takes one choice."""

    log_probability: float
    """Of all its tokens together, in nats."""

    n_tokens: int
    greedy: bool
    """Whether each token is the one that the model would have chosen."""


def read_lambada(file: Path, tokenizer: Tokenizer) -> list[Question]:
    """The passages of LAMBADA, whose last word is to be found.

    Args:
        file: JSON lines with ``text``, OpenAI's form.
        tokenizer: The model's.

    Raises:
        DataError: Naming the file and the line that has no such text.

    References:
        Paperno et al. 2016, "The LAMBADA dataset"; Radford et al. 2019, section 3.3.
    """
    questions = []
    for number, row in read_json_lines(file):
        text = row.get("text")
        if not isinstance(text, str) or len(text.split()) < 2:
            raise DataError(f"{file}, line {number}: 'text' must be a passage of several words")
        context, _, word = text.rstrip().rpartition(" ")
        questions.append(_question(tokenizer, context, [f" {word}"], 0))
    return questions


def read_hellaswag(file: Path, tokenizer: Tokenizer) -> list[Question]:
    """The beginnings of HellaSwag and the four ways in which each might go on.

    Args:
        file: JSON lines with ``ctx``, ``endings`` and ``label`` (the published form), or with
            ``query``, ``choices`` and ``gold``.
        tokenizer: The model's.

    Raises:
        DataError: Naming the file, the line and the key that is missing.

    References:
        Zellers et al. 2019, "HellaSwag: Can a Machine Really Finish Your Sentence?".
    """
    questions = []
    for number, row in read_json_lines(file):
        names = ("query", "choices", "gold") if "query" in row else ("ctx", "endings", "label")
        missing = next((name for name in names if name not in row), None)
        if missing is not None:
            raise DataError(f"{file}, line {number}: there is no {missing!r}")
        context, choices, gold = (row[name] for name in names)
        if gold not in range(len(choices)):
            raise DataError(f"{file}, line {number}: there is no choice {gold!r}")
        questions.append(_question(tokenizer, context, [f" {each}" for each in choices], gold))
    return questions


@torch.inference_mode()
def score_choices(
    model: GPT,
    questions: Sequence[Question],
    batch_size: int = 16,
    *,
    progress: Progress | None = None,
) -> list[list[Score]]:
    """Score every choice of every question.

    A context that does not fit is cut at its beginning, so that the longest choice fits behind it.

    Args:
        model: On its device; it is left in the mode it came in.
        questions: In any order.
        batch_size: Questions that go through the model together.
        progress: Told of ``questions``.

    Returns:
        The scores, in the order of the questions and of their choices.

    Raises:
        DataError: If a choice is as long as the model's context.
    """
    contexts = [_fitting_context(question, model.config.context_length) for question in questions]
    scores: list[list[Score]] = [[] for _ in questions]
    done = 0
    with evaluating(model):
        for rows in _batches(contexts, batch_size):
            batch = [questions[row].choices for row in rows]
            answers = _score_batch(model, [contexts[row] for row in rows], batch)
            for row, answer in zip(rows, answers, strict=True):
                scores[row] = answer
            done += len(rows)
            if progress is not None:
                progress("questions", done, len(questions))
    return scores


def lambada_metrics(scores: Sequence[Sequence[Score]]) -> dict[str, float]:
    """Accuracy (the whole last word, greedily) and perplexity of the last word."""
    only = [score for (score,) in scores]
    mean = sum(score.log_probability for score in only) / len(only)
    return {
        "lambada_accuracy": sum(score.greedy for score in only) / len(only),
        "lambada_perplexity": perplexity(-mean),
    }


def hellaswag_metrics(
    questions: Sequence[Question], scores: Sequence[Sequence[Score]]
) -> dict[str, float]:
    """Accuracy by the sum of log-probabilities, and by their mean a token (normalized)."""
    by_sum, by_mean = 0, 0
    for question, choices in zip(questions, scores, strict=True):
        sums = [choice.log_probability for choice in choices]
        by_sum += question.gold == sums.index(max(sums))
        by_mean += question.gold == most_probable(choices)
    return {
        "hellaswag_accuracy": by_sum / len(questions),
        "hellaswag_normalized": by_mean / len(questions),
    }


def most_probable(choices: Sequence[Score]) -> int:
    """The choice with the highest mean log-probability a token."""
    means = [choice.log_probability / choice.n_tokens for choice in choices]
    return means.index(max(means))


def _question(tokenizer: Tokenizer, context: str, choices: Sequence[str], gold: int) -> Question:
    """Cut each continued text at the end of its context, as it is in one piece of text."""
    context_ids = tokenizer.encode(context) or [tokenizer.eos_id]
    continued = []
    for choice in choices:
        whole = tokenizer.encode(context + choice)
        together = whole[: len(context_ids)] == context_ids and len(whole) > len(context_ids)
        continued.append(tuple(whole[len(context_ids) :] if together else tokenizer.encode(choice)))
    return Question(tuple(context_ids), tuple(continued), gold, context)


def _fitting_context(question: Question, context_length: int) -> tuple[int, ...]:
    room = context_length + 1 - max(map(len, question.choices))  # the last token is not read
    if room < 1:
        raise DataError(
            f"a choice of {max(map(len, question.choices))} tokens does not fit into the model's "
            f"context of {context_length}: {question.text[:60]!r}"
        )
    return question.context[-room:]


def _batches(contexts: Sequence[Sequence[int]], batch_size: int) -> Iterator[list[int]]:
    """Questions whose contexts are equally long, at most ``batch_size`` at once."""
    order = sorted(range(len(contexts)), key=lambda row: len(contexts[row]))
    for _, group in groupby(order, key=lambda row: len(contexts[row])):
        rows = list(group)
        for start in range(0, len(rows), batch_size):
            yield rows[start : start + batch_size]


def _score_batch(
    model: GPT, contexts: Sequence[Sequence[int]], choices: Sequence[Sequence[Sequence[int]]]
) -> list[list[Score]]:
    """Scores of questions with equally long contexts."""
    device = model.wte.weight.device
    flat = [choice for each in choices for choice in each]
    owners = [row for row, each in enumerate(choices) for _ in each]
    longest = max(map(len, flat))
    capacity = len(contexts[0]) + longest - 1
    cache = KVCache(model.config, len(contexts), device, capacity=capacity)
    hidden = model.hidden(torch.tensor(contexts, device=device), cache)[:, -1:]  # (B, 1, C)
    hidden = hidden[owners]  # (N, 1, C)
    if longest > 1:
        cache.keep_rows(owners)
        fed = [[*choice[:-1], *[0] * (longest - len(choice))] for choice in flat]
        rest = model.hidden(torch.tensor(fed, device=device), cache)  # (N, T - 1, C)
        hidden = torch.cat([hidden, rest], dim=1)  # (N, T, C)
    lengths = [len(choice) for choice in flat]
    states = torch.cat([row[:length] for row, length in zip(hidden, lengths, strict=True)])
    targets = torch.tensor([token for choice in flat for token in choice], device=device)
    log_probabilities, is_best = _token_scores(model, states, targets)
    scores: list[list[Score]] = [[] for _ in choices]
    start = 0
    for owner, length in zip(owners, lengths, strict=True):
        part = slice(start, start + length)
        total = float(log_probabilities[part].double().sum())
        scores[owner].append(Score(total, length, bool(is_best[part].all())))
        start += length
    return scores


def _token_scores(model: GPT, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Each target's log-probability, and whether it is the most probable token; (M,) each."""
    found: list[Tensor] = []
    best: list[Tensor] = []
    for start in range(0, len(targets), _MOST_POSITIONS):
        target = targets[start : start + _MOST_POSITIONS]
        logits: Any = model.lm_head(states[start : start + _MOST_POSITIONS]).float()  # (M, V)
        found.append(logits.log_softmax(dim=-1).gather(1, target[:, None])[:, 0])
        best.append(logits.argmax(dim=-1) == target)
    return torch.cat(found).cpu(), torch.cat(best).cpu()
