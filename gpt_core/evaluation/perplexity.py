"""Perplexity of a text with a sliding window: per token, per word and per byte.

Shapes: B batch, T time, V vocabulary.
"""

import math
import re
from collections.abc import Iterator, Sequence

import torch

from gpt_core.data import Batch
from gpt_core.errors import DataError
from gpt_core.evaluation.language_model import token_loss
from gpt_core.files import Progress
from gpt_core.models import GPT, IGNORED, perplexity
from gpt_core.tokenizers import Tokenizer

_WIKITEXT = (
    (r" @([-,.])@ ", r"\1"),  # inside numbers and compounds
    (r" ([.,;:!?])", r"\1"),
    (r" 's\b", "'s"),
    (r" n't\b", "n't"),
    (r"s '(?=\s)", "s'"),
)
_WIKITEXT_PAIRS = (
    ("( ", " )", "(", ")"),
    ("[ ", " ]", "[", "]"),
    ('" ', ' "', '"', '"'),
    ("' ", " '", "'", "'"),
    ("= = = = ", " = = = =", "==== ", " ===="),
    ("= = = ", " = = =", "=== ", " ==="),
    ("= = ", " = =", "== ", " =="),
)
"""Signs around a part of a line, and what they become."""


def detokenize_wikitext(text: str) -> str:
    """Undo the tokenization of WikiText: remove the spaces around punctuation.

    Args:
        text: As in ``wiki.test.raw``.

    Example:
        >>> detokenize_wikitext("It was 1 @,@ 500 m ( 5 ft ) , wasn 't it ?")
        "It was 1,500 m (5 ft), wasn 't it?"
    """
    for pattern, replacement in _WIKITEXT:
        text = re.sub(pattern, replacement, text)
    for pair in _WIKITEXT_PAIRS:
        text = "\n".join(_replace_pairs(line, *pair) for line in text.split("\n"))
    return text


def _replace_pairs(line: str, opening: str, closing: str, begin: str, end: str) -> str:
    """Replace each opening sign and the next closing one, in linear time.

    A regular expression would look for the closing sign again from each opening one.
    """
    parts, place = [], 0
    while (first := line.find(opening, place)) >= 0:
        inner = first + len(opening)
        last = line.find(closing, inner)
        if last < 0:
            break
        parts += [line[place:first], begin, line[inner:last], end]
        place = last + len(closing)
    return "".join([*parts, line[place:]])


def text_metrics(
    model: GPT,
    tokenizer: Tokenizer,
    text: str,
    *,
    stride: int,
    batch_size: int = 8,
    n_words: int | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Measure the perplexity of a text with a sliding window.

    A window of the model's context length advances by ``stride`` tokens and only its new tokens
    are scored, so that every token after the first window has at least ``context_length - stride``
    tokens of context.

    Args:
        model: On its device; its mode is restored afterwards.
        tokenizer: The model's tokenizer.
        text: A text of any length; it is scored as the start of a document.
        stride: Tokens by which the window advances, 1 to the context length.
        batch_size: Windows per forward pass.
        n_words: Number of words for ``word_perplexity``; None counts them in the text. For a
            detokenized text, the words before detokenization are customary.
        progress: Receives ``windows`` scored.

    Returns:
        ``token_perplexity``, ``word_perplexity``, ``bits_per_byte`` and ``text_tokens``.

    Raises:
        DataError: If there is no text.
    """
    ids = [tokenizer.eos_id, *tokenizer.encode(text)]
    if len(ids) < 2:
        raise DataError("there is no text to measure perplexity on")
    windows = list(_windows(len(ids), model.config.context_length, stride))
    batches = _batches(ids, windows, batch_size, progress)
    loss, n_tokens = token_loss(model, batches, model.wte.weight.device)
    total = loss * n_tokens
    words = n_words or len(text.split())
    return {
        "token_perplexity": perplexity(loss),
        "word_perplexity": perplexity(total / max(1, words)),
        "bits_per_byte": total / math.log(2) / len(text.encode()),
        "text_tokens": float(n_tokens),
    }


def _windows(n_ids: int, context_length: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Start and end of each window's inputs, and its first target that is scored.

    Raises:
        DataError: If the stride would leave gaps between windows.
    """
    if not 1 <= stride <= context_length:
        raise DataError(f"the stride must be 1 to the context's {context_length}, got {stride}")
    scored = 0  # targets so far; target t is token t + 1
    begin = 0
    while scored < n_ids - 1:
        end = min(begin + context_length, n_ids - 1)
        yield begin, end, scored
        scored, begin = end, begin + stride


def _batches(
    ids: Sequence[int],
    windows: Sequence[tuple[int, int, int]],
    batch_size: int,
    progress: Progress | None,
) -> Iterator[Batch]:
    tensor = torch.tensor(ids)
    for start in range(0, len(windows), batch_size):
        part = windows[start : start + batch_size]
        longest = max(end - begin for begin, end, _ in part)
        token_ids = torch.zeros(len(part), longest, dtype=torch.long)
        targets = torch.full((len(part), longest), IGNORED)
        for row, (begin, end, scored) in enumerate(part):
            token_ids[row, : end - begin] = tensor[begin:end]
            targets[row, scored - begin : end - begin] = tensor[scored + 1 : end + 1]
        yield Batch(token_ids, targets)
        if progress is not None:
            progress("windows", start + len(part), len(windows))
