"""Zero-shot scoring of multiple-choice questions by the log-probability of each choice.

The contexts of a batch are equally long, so they need no padding, and the choices of a question
share the KV cache of its context, which is computed once.

Shapes: B questions, N choices of all of them, T time, C width, V vocabulary, M tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from gpt_core.errors import DataError
from gpt_core.files import Progress
from gpt_core.models import GPT, KVCache, evaluating
from gpt_core.tokenizers import Tokenizer

_MAX_POSITIONS = 1024  # whose logits are computed at once


@dataclass(frozen=True, slots=True)
class Question:
    """A context and its possible continuations, as token ids."""

    context: tuple[int, ...]
    """At least one id."""

    choices: tuple[tuple[int, ...], ...]
    """At least one id each."""

    gold: int
    """Index of the correct choice; 0 if there is only one."""

    text: str
    """The context as text, for messages and the tables of examples."""


@dataclass(frozen=True, slots=True)
class Score:
    """A model's score of one choice."""

    log_probability: float
    """Sum over the choice's tokens, in nats."""

    n_tokens: int
    """Tokens of the choice."""

    greedy: bool
    """Whether greedy decoding would produce exactly this choice."""


def tokenize_question(
    tokenizer: Tokenizer, context: str, choices: Sequence[str], gold: int
) -> Question:
    """Tokenize context + choice together and split at the context boundary.

    A choice is tokenized separately if a token spans the boundary. An empty context becomes an
    end of document.

    Args:
        tokenizer: The model's tokenizer.
        context: The text before the choices.
        choices: The continuations, each with its leading space.
        gold: Index of the correct choice.
    """
    context_ids = tokenizer.encode(context) or [tokenizer.eos_id]
    n = len(context_ids)
    tokenized = []
    for choice in choices:
        ids = tokenizer.encode(context + choice)
        can_split = ids[:n] == context_ids and len(ids) > n
        tokenized.append(tuple(ids[n:] if can_split else tokenizer.encode(choice)))
    return Question(tuple(context_ids), tuple(tokenized), gold, context)


@torch.inference_mode()
def score_choices(
    model: GPT,
    questions: Sequence[Question],
    batch_size: int = 16,
    *,
    progress: Progress | None = None,
) -> list[list[Score]]:
    """Score every choice of every question.

    A context that is too long is truncated at its beginning, so that the question's longest
    choice fits after it.

    Args:
        model: On its device; its mode is restored afterwards.
        questions: In any order.
        batch_size: Questions per forward pass.
        progress: Receives ``questions`` scored.

    Returns:
        The scores, in the order of the questions and of their choices.

    Raises:
        DataError: If a choice does not fit into the model's context.
    """
    contexts = [_truncated_context(question, model.config.context_length) for question in questions]
    scores: list[list[Score]] = [[] for _ in questions]
    done = 0
    with evaluating(model):
        for rows in _batches(contexts, batch_size):
            batch = [questions[row].choices for row in rows]
            batch_scores = _score_batch(model, [contexts[row] for row in rows], batch)
            for row, question_scores in zip(rows, batch_scores, strict=True):
                scores[row] = question_scores
            done += len(rows)
            if progress is not None:
                progress("questions", done, len(questions))
    return scores


def most_probable(scores: Sequence[Score]) -> int:
    """Index of the choice with the highest log-probability per token (length-normalized)."""
    means = [score.log_probability / score.n_tokens for score in scores]
    return means.index(max(means))


def _truncated_context(question: Question, context_length: int) -> tuple[int, ...]:
    longest = max(map(len, question.choices))
    n_available = context_length + 1 - longest  # the last token is predicted, never an input
    if n_available < 1:
        raise DataError(
            f"a choice of {longest} tokens does not fit into the model's "
            f"context of {context_length}: {question.text[:60]!r}"
        )
    return question.context[-n_available:]


def _batches(contexts: Sequence[Sequence[int]], batch_size: int) -> Iterator[list[int]]:
    """Group questions whose contexts are equally long, at most ``batch_size`` at once.

    Yields:
        Indices of the questions of each batch.
    """
    order = sorted(range(len(contexts)), key=lambda row: len(contexts[row]))
    for _, group in groupby(order, key=lambda row: len(contexts[row])):
        rows = list(group)
        for start in range(0, len(rows), batch_size):
            yield rows[start : start + batch_size]


def _score_batch(
    model: GPT, contexts: Sequence[Sequence[int]], choices: Sequence[Sequence[Sequence[int]]]
) -> list[list[Score]]:
    """Score the choices of questions with equally long contexts."""
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
        padded = [[*choice[:-1], *[0] * (longest - len(choice))] for choice in flat]
        rest = model.hidden(torch.tensor(padded, device=device), cache)  # (N, T - 1, C)
        hidden = torch.cat([hidden, rest], dim=1)  # (N, T, C)
    lengths = [len(choice) for choice in flat]
    states = torch.cat([row[:length] for row, length in zip(hidden, lengths, strict=True)])
    targets = torch.tensor([token for choice in flat for token in choice], device=device)
    log_probabilities, is_argmax = _score_tokens(model, states, targets)
    scores: list[list[Score]] = [[] for _ in choices]
    start = 0
    for owner, length in zip(owners, lengths, strict=True):
        part = slice(start, start + length)
        total = float(log_probabilities[part].double().sum())
        scores[owner].append(Score(total, length, bool(is_argmax[part].all())))
        start += length
    return scores


def _score_tokens(model: GPT, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Score each target after its hidden state.

    Args:
        model: The language model.
        states: Shape (M, C).
        targets: Shape (M,).

    Returns:
        The targets' log-probabilities, and whether each is the most probable token; (M,) each.
    """
    log_probabilities: list[Tensor] = []
    is_argmax: list[Tensor] = []
    for start in range(0, len(targets), _MAX_POSITIONS):
        target = targets[start : start + _MAX_POSITIONS]
        logits: Tensor = model.lm_head(states[start : start + _MAX_POSITIONS]).float()  # (M, V)
        log_probabilities.append(logits.log_softmax(dim=-1).gather(1, target[:, None])[:, 0])
        is_argmax.append(logits.argmax(dim=-1) == target)
    return torch.cat(log_probabilities).cpu(), torch.cat(is_argmax).cpu()
