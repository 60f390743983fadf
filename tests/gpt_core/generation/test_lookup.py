"""Drafts from repetitions: the same tokens in fewer passes."""

import random

import pytest
import torch

from gpt_core.config import DecodingConfig, GPTConfig
from gpt_core.generation import Engine, Request, generate, run
from gpt_core.generation.lookup import Lookup
from gpt_core.models import GPT, build_model

V, T = 19, 96


@pytest.fixture(scope="module")
def repeating() -> GPT:
    """A model whose greedy text repeats itself, as small models do."""
    model = build_model(
        GPTConfig(n_layer=2, n_head=2, n_embd=32, vocab_size=V, context_length=T), seed=4
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0)
    return model


def decode(model: GPT, request: Request, **settings: bool) -> tuple[list[int], int]:
    """The tokens of a request alone, and in how many steps they came."""
    engine, steps, tokens = Engine(model, n_slots=1, linears="plain"), 0, list[int]()
    step = engine.step

    def counted() -> list:
        nonlocal steps
        steps += 1
        return step()

    engine.step = counted  # type: ignore[method-assign]
    for _, update in run(engine, [request], **settings):
        tokens += [choice.token_id for choice in update.tokens]
    return tokens, steps


@pytest.mark.parametrize("slides", [False, True])
@pytest.mark.parametrize("lookup", [1, 3, 8])
def test_the_tokens_are_the_same_in_fewer_steps(repeating: GPT, lookup: int, slides: bool) -> None:
    saved = 0
    for _ in range(6):
        prompt = tuple(torch.randint(V, (random.randint(1, 20),)).tolist())
        plain = Request(prompt=prompt, max_new_tokens=150, temperature=0)
        drafted = Request(prompt=prompt, max_new_tokens=150, temperature=0, lookup=lookup)
        (expected, n_plain), (found, n_drafted) = (
            decode(repeating, request, slides=slides) for request in (plain, drafted)
        )
        assert found == expected
        assert n_drafted <= n_plain
        saved += n_plain - n_drafted
    assert saved > 0


def test_a_stop_token_inside_a_draft_ends_the_text(repeating: GPT) -> None:
    prompt = (1, 2, 3)
    whole, _ = decode(repeating, Request(prompt=prompt, max_new_tokens=60, temperature=0))
    for stop in set(whole):
        request = {"prompt": prompt, "max_new_tokens": 60, "temperature": 0}
        stops = frozenset({stop})
        expected, _ = decode(repeating, Request(**request, stop_ids=stops))
        assert decode(repeating, Request(**request, stop_ids=stops, lookup=6))[0] == expected
        assert stop not in expected


@pytest.mark.parametrize("setting", [{"temperature": 0.9}, {"repetition_penalty": 1.3}])
def test_nothing_is_drafted_where_it_would_change_the_tokens(
    repeating: GPT, setting: dict[str, float]
) -> None:
    request = {"prompt": (1, 2, 3), "max_new_tokens": 50, "temperature": 0.0, **setting}
    assert decode(repeating, Request(**request, lookup=4)) == decode(repeating, Request(**request))


def test_the_setting_reaches_the_engine(repeating: GPT) -> None:
    prompts = [[1, 2], [3], [4, 5, 6]]
    greedy = DecodingConfig(temperature=0, max_new_tokens=40)
    drafted = DecodingConfig(temperature=0, max_new_tokens=40, lookup=5)
    assert generate(repeating, prompts, drafted) == generate(repeating, prompts, greedy)


def test_wrong_drafts_are_made_less_and_less_often() -> None:
    lookup, tokens, drafts = Lookup(), [1, 2, 3], 0
    for n in range(400):
        tokens += [1, 2, 3] if n % 2 else [4 + n]
        if lookup.draft(tokens, 4):
            drafts += 1
            lookup.judge(len(tokens), 4, 0)
    assert 3 <= drafts <= 12
    lookup.judge(len(tokens), 4, 4)
    assert lookup._pause == 8
