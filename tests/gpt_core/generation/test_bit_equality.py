"""A request's logits have the same bits alone and among neighbours that join and leave."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gpt_core.config import GPTConfig
from gpt_core.generation import Engine, Request
from gpt_core.generation import engine as engine_module
from gpt_core.models import GPT, LinearKind, build_model
from gpt_core.models.packed import can_pack

V, T = 61, 96


def build(width: int) -> GPT:
    config = GPTConfig(n_layer=2, n_head=2, n_embd=width, vocab_size=V, context_length=T)
    model = build_model(config, seed=width).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


MODELS = {width: build(width) for width in (32, 384)}  # 384: a single row is summed otherwise


@contextmanager
def recording(engine: Engine, watched: Request) -> Iterator[list[Tensor]]:
    """The logits by which each token of a request is chosen."""
    seen: list[Tensor] = []
    original = engine_module.sample_rows

    def sample_rows(logits: Tensor, rows: list[engine_module.ActiveRequest]) -> list[int]:
        for row, active in zip(logits, rows, strict=True):
            if active.request is watched:
                seen.append(row.clone())
        return original(logits, rows)

    with patch.object(engine_module, "sample_rows", sample_rows):
        yield seen


requests = st.builds(
    Request,
    prompt=st.lists(st.integers(0, V - 1), min_size=1, max_size=T).map(tuple),
    max_new_tokens=st.integers(1, 20),
    temperature=st.sampled_from([0.0, 1.0]),
    top_p=st.sampled_from([None, 0.9]),
    seed=st.integers(0, 99),
)
events = st.lists(st.one_of(requests, st.sampled_from(["step", "cancel"])), max_size=25)


def decode(
    model: GPT, watched: Request, neighbours: list[Request | str], linears: LinearKind
) -> tuple[list[Tensor], list[int]]:
    """The logits and tokens of a request while others are added, cancelled and end."""
    engine = Engine(model, n_slots=4, prefill_chunk=16, linears=linears)
    plan = iter(neighbours)
    others: list[int] = []
    tokens: list[int] = []
    with recording(engine, watched) as logits:
        for each in neighbours[: len(neighbours) // 3]:  # some are there before it
            next(plan)
            if isinstance(each, Request) and engine.n_free > 1:
                others.append(engine.add(each))
            engine.step()
        request_id = engine.add(watched)
        while True:
            each = next(plan, "step")
            if isinstance(each, Request) and engine.n_free:
                others.append(engine.add(each))
            elif each == "cancel" and others:
                engine.cancel(others.pop(0))
            for update in engine.step():
                if update.request_id == request_id:
                    tokens += [choice.token_id for choice in update.tokens]
                    if update.finish is not None:
                        return logits, tokens


@pytest.mark.skipif(not can_pack(nn.Linear(8, 8)), reason="this torch cannot pack weights")
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("width", [32, 384])
@settings(max_examples=12)
@given(watched=requests, neighbours=events)
def test_packed_logits_are_bit_equal(
    width: int, n_threads: int, watched: Request, neighbours: list[Request | str]
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        alone, tokens = decode(MODELS[width], watched, [], "packed")
        among, same_tokens = decode(MODELS[width], watched, neighbours, "packed")
    finally:
        torch.set_num_threads(before)
    assert tokens == same_tokens
    assert len(alone) == len(among) >= len(tokens)
    assert all(torch.equal(one, other) for one, other in zip(alone, among, strict=True))


@settings(max_examples=12)
@given(watched=requests, neighbours=events)
def test_plain_tokens_are_equal(watched: Request, neighbours: list[Request | str]) -> None:
    alone, tokens = decode(MODELS[32], watched, [], "plain")
    among, same_tokens = decode(MODELS[32], watched, neighbours, "plain")
    assert tokens == same_tokens
    for one, other in zip(alone, among, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
