"""Beam search against every continuation there is."""

from itertools import product

import pytest
import torch

from gpt_core.config import GPTConfig
from gpt_core.errors import DataError
from gpt_core.generation import beam_search
from gpt_core.models import GPT, build_model

V = 5


@pytest.fixture
def model() -> GPT:
    config = GPTConfig(n_layer=1, n_head=1, n_embd=8, context_length=8, vocab_size=V)
    model = build_model(config, 0).eval()
    for parameter in model.parameters():
        parameter.data.mul_(8.0)
    return model


def log_probability(model: GPT, prompt: list[int], continuation: tuple[int, ...]) -> float:
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *continuation]]))[0].double().log_softmax(-1)
    rows = range(len(prompt) - 1, len(prompt) - 1 + len(continuation))
    return sum(float(logits[row, token]) for row, token in zip(rows, continuation, strict=True))


def test_a_width_of_all_finds_the_most_probable_continuation(model: GPT) -> None:
    found = beam_search(model, [1, 2], V**2, 3)
    every = {c: log_probability(model, [1, 2], c) for c in product(range(V), repeat=3)}
    best = max(every, key=lambda continuation: every[continuation])
    assert found[0].token_ids == best
    for beam in found:
        assert beam.log_probability == pytest.approx(every[beam.token_ids], abs=1e-5)


def test_a_width_of_one_is_greedy(model: GPT) -> None:
    (beam,) = beam_search(model, [0], 1, 4)
    ids = [0]
    for _ in range(4):
        ids.append(int(model.next_logits(torch.tensor([ids])).argmax()))
    assert beam.token_ids == tuple(ids[1:])


def test_a_complete_continuation_is_kept_and_the_context_is_not_exceeded(model: GPT) -> None:
    found = beam_search(model, [0], V, 3, eos_id=2)
    ended = [beam for beam in found if 2 in beam.token_ids]
    assert ended
    assert all(beam.token_ids.index(2) == len(beam.token_ids) - 1 for beam in ended)
    assert len(beam_search(model, [0] * 8, 2, 5)[0].token_ids) == 1


def test_a_width_of_nothing_is_refused(model: GPT) -> None:
    with pytest.raises(DataError, match="1 or more: 0, 3"):
        beam_search(model, [0], 0, 3)


def test_a_prompt_longer_than_the_context_is_refused(model: GPT) -> None:
    with pytest.raises(DataError, match="9 tokens and the context of the model 8"):
        beam_search(model, [0] * 9, 2, 3)
