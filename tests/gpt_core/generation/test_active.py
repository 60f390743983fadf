from dataclasses import replace
from typing import Any

import pytest
import torch

from gpt_core.config import GPTConfig
from gpt_core.errors import DataError
from gpt_core.generation import Request
from gpt_core.generation.active import ActiveRequest, check_request

V = 40
CONFIG = GPTConfig(n_layer=1, n_head=1, n_embd=8, vocab_size=V, context_length=16)
REQUEST = Request(prompt=(1, 2), max_new_tokens=3, seed=5)


def test_a_request_draws_the_uniform_numbers_of_its_seed_in_order() -> None:
    active = ActiveRequest(0, REQUEST, 0, 3, slides=False)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(5)).tolist()
    drawn = []
    for token_id in (7, 8, 9):
        drawn.append(active.uniform)
        active.append(token_id)
    assert drawn == expected
    assert active.token_ids == [1, 2, 7, 8, 9]
    assert active.seen == {1, 2, 7, 8, 9}


def test_sliding_keeps_the_newer_half_and_the_draws() -> None:
    active = ActiveRequest(0, REQUEST, 0, 3, slides=True)
    active.append(7)
    draw = active.uniform
    active.n_cached = 2
    active.slide(4)
    assert (active.token_ids, active.n_cached, active.uniform) == ([2, 7], 0, draw)


def test_the_values_of_a_good_request_pass() -> None:
    check_request(REQUEST, CONFIG, capacity=2)
    with pytest.raises(DataError, match="has 2 tokens, which exceed the context of 1"):
        check_request(REQUEST, CONFIG, capacity=1)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"max_new_tokens": -1, "score_prompt": True}, "max_new_tokens must be at least 0"),
        ({"temperature": -0.1}, "temperature must be a number of at least 0, got -0.1"),
        ({"temperature": float("nan")}, "temperature must be a number of at least 0, got nan"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"top_p": float("nan")}, r"top_p must be in \(0, 1\], got nan"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be above 0, got 0.0"),
        ({"logit_bias": {V: 1.0}}, "ids of logit_bias must be in the vocabulary of 40"),
        ({"logit_bias": {1: float("inf")}}, "values of logit_bias must be finite"),
        ({"seed": -1}, "seed must be in"),
        ({"logprobs": -1}, "logprobs must be at least 0, got -1"),
        ({"prompt": ()}, "the prompt is empty"),
        ({"prompt": (1, V)}, "token id 40 of the prompt is outside"),
    ],
)
def test_a_bad_request_is_one_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        check_request(replace(REQUEST, **settings), CONFIG, capacity=12)
