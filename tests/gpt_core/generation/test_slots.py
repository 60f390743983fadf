import pytest
import torch

from gpt_core.config import GPTConfig
from gpt_core.generation.requests import Request
from gpt_core.generation.slots import Slots
from gpt_core.models import SlotCache

CHUNK, T = 4, 16
PROMPT = tuple(range(1, 11))  # two chunks and two tokens


@pytest.fixture
def cache() -> SlotCache:
    config = GPTConfig(n_layer=1, n_head=1, n_embd=2, vocab_size=32, context_length=T)
    return SlotCache(config, n_slots=3)


def asking(*prompt: int, **settings: object) -> Request:
    return Request(prompt=prompt, max_new_tokens=1, **settings)


def test_whole_chunks_of_a_beginning_are_taken_over(cache: SlotCache) -> None:
    slots = Slots(cache, CHUNK)
    slots.hold(1, PROMPT, n_cached=10)
    cache.keys[:, 1] = 7.0
    assert slots.take(asking(*PROMPT), {}) == (1, 8)
    assert slots.take(asking(*PROMPT, 11), {1: 10}) == (0, 8), "copied, its slot is occupied"
    assert torch.equal(cache.keys[:, 0, :, :8], cache.keys[:, 1, :, :8])
    assert cache.keys[:, 0, :, 8:].count_nonzero() == 0
    assert slots.take(asking(*PROMPT[:8]), {0: 8, 1: 10}) == (2, 4), "never the last token"
    assert slots.n_reused == 8 + 8 + 4


def test_nothing_is_taken_over_where_the_prompt_is_scored_or_the_slot_reset(
    cache: SlotCache,
) -> None:
    slots = Slots(cache, CHUNK)
    slots.hold(1, PROMPT, n_cached=10)
    assert slots.take(asking(*PROMPT, score_prompt=True), {}) == (0, 0)
    slots.reset(1)
    assert slots.take(asking(*PROMPT), {}) == (0, 0)


def test_what_slots_hold_is_swapped_with_them(cache: SlotCache) -> None:
    slots = Slots(cache, CHUNK)
    slots.hold(1, PROMPT, n_cached=10)
    cache.values[:, 1, :, :8] = 7.0
    slots.swap(0, 1, {})
    assert cache.values[:, 0, :, :8].eq(7).all()
    assert slots.take(asking(*PROMPT), {}) == (0, 8)


def test_a_spare_place_is_behind_what_is_held(cache: SlotCache) -> None:
    slots = Slots(cache, CHUNK)
    slots.hold(1, PROMPT, n_cached=10)
    slots.hold(2, tuple(range(T)), n_cached=T)
    assert [slots.spare_place(slot) for slot in range(3)] == [0, 8, 0]
    assert slots.take(asking(*range(T)), {}) == (0, 0), "a full slot holds nothing any more"


def test_a_cleared_slot_has_no_number_that_is_not_finite(cache: SlotCache) -> None:
    slots = Slots(cache, CHUNK)
    cache.keys[:, 1] = torch.nan
    slots.hold(1, PROMPT, n_cached=10)
    slots.clear(1)
    assert cache.keys.isfinite().all()
    assert slots.spare_place(1) == 0
