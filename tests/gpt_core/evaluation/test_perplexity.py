"""Perplexity with a sliding window against one window at a time."""

import math
import re
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.config import GPTConfig
from gpt_core.errors import DataError
from gpt_core.evaluation import detokenize_wikitext, text_metrics
from gpt_core.evaluation.perplexity import _WIKITEXT_PAIRS, _replace_pairs
from gpt_core.models import GPT, build_model
from gpt_core.tokenizers import ByteTokenizer

C = 16
TEXT = "the quick brown fox jumps over the lazy dog, twice. Ünïcode too"


@pytest.fixture(scope="module")
def model() -> GPT:
    model = build_model(GPTConfig(n_layer=1, n_head=2, n_embd=16, vocab_size=257, context_length=C))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
    return model


@torch.inference_mode()
def plain_loss(model: GPT, stride: int) -> float:
    """Total loss of each token in the first window that has it, in float64."""
    ids = [256, *TEXT.encode()]
    total, counted, begin = 0.0, 0, 0
    while counted < len(ids) - 1:
        end = min(begin + C, len(ids) - 1)
        log_probabilities = model(torch.tensor([ids[begin:end]]))[0].double().log_softmax(-1)
        for target in range(counted, end):
            total -= float(log_probabilities[target - begin, ids[target + 1]])
        counted, begin = end, begin + stride
    return total


@pytest.mark.parametrize("stride", [1, 5, C])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_metrics_equal_those_of_one_window_at_a_time(
    model: GPT, stride: int, batch_size: int
) -> None:
    metrics = text_metrics(model, ByteTokenizer(), TEXT, stride=stride, batch_size=batch_size)
    loss, n_bytes = plain_loss(model, stride), len(TEXT.encode())
    assert metrics["text_tokens"] == n_bytes
    assert metrics["token_perplexity"] == pytest.approx(math.exp(loss / n_bytes), rel=1e-4)
    assert metrics["word_perplexity"] == pytest.approx(math.exp(loss / 12), rel=1e-4)
    assert metrics["bits_per_byte"] == pytest.approx(loss / math.log(2) / n_bytes, rel=1e-4)


def test_a_stride_that_leaves_gaps_is_refused(model: GPT) -> None:
    for stride in (0, C + 1):
        with pytest.raises(DataError, match="the stride must be 1 to the context's 16"):
            text_metrics(model, ByteTokenizer(), TEXT, stride=stride)


def test_an_empty_text_is_refused(model: GPT) -> None:
    with pytest.raises(DataError, match="there is no text"):
        text_metrics(model, ByteTokenizer(), "", stride=4)


@pytest.mark.parametrize(
    ("tokenized", "text"),
    [
        ("in the 1 @,@ 000 @-@ year reich", "in the 1,000-year reich"),
        ("= = Reception = =", "== Reception =="),
        ('he said : " no , never " .', 'he said: "no, never".'),
        ("the dog 's ( large ) tail", "the dog's (large) tail"),
    ],
)
def test_wikitext_is_detokenized(tokenized: str, text: str) -> None:
    assert detokenize_wikitext(tokenized) == text


def test_a_text_of_one_token_has_a_perplexity(model: GPT) -> None:
    metrics = text_metrics(model, ByteTokenizer(), "a", stride=4)
    with torch.inference_mode():
        expected = -model(torch.tensor([[256]]))[0, 0].log_softmax(-1)[ord("a")]
    assert metrics["token_perplexity"] == pytest.approx(float(expected.exp()), rel=1e-4)
    assert metrics["text_tokens"] == 1


PAIRS = (
    (r"\( (.*?) \)", r"(\1)"), (r"\[ (.*?) \]", r"[\1]"), (r"\" (.*?) \"", r'"\1"'),
    (r"' (.*?) '", r"'\1'"), (r"= = = = (.*?) = = = =", r"==== \1 ===="),
    (r"= = = (.*?) = = =", r"=== \1 ==="), (r"= = (.*?) = =", r"== \1 =="),
)  # fmt: skip


@given(st.lists(st.sampled_from([*"()[]=\"' ", "a", "\n", " = = ", "= = = = "]), max_size=40))
def test_pairs_are_those_of_lazy_regular_expressions(parts: list[str]) -> None:
    text = "".join(parts)
    expected = text
    for pattern, replacement in PAIRS:
        expected = re.sub(pattern, replacement, expected)
    for pair in _WIKITEXT_PAIRS:
        text = "\n".join(_replace_pairs(line, *pair) for line in text.split("\n"))
    assert text == expected


@pytest.mark.parametrize("part", ["( ", "[ ", '" a', "' a", "= = x", "= = = = x", "( a )", " "])
def test_detokenizing_takes_linear_time(part: str) -> None:
    started = time.perf_counter()
    detokenize_wikitext(part * 100_000)  # quadratic: a quarter of an hour
    assert time.perf_counter() - started < 20
