import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt_core.config import GPTConfig
from gpt_core.models import GPT, KVCache, build_model

T, V = 10, 31


def small(backend: str) -> GPT:
    config = GPTConfig(
        n_layer=2, n_head=2, n_embd=8, vocab_size=V, context_length=T, attention=backend
    )
    return build_model(config, seed=0).eval()


@pytest.mark.parametrize("backend", ["explicit", "sdpa"])
@settings(max_examples=25)
@given(cuts=st.sets(st.integers(1, T - 1)))
@torch.inference_mode()
def test_logits_do_not_depend_on_how_the_text_is_split(backend: str, cuts: set[int]) -> None:
    model = small(backend)
    token_ids = torch.randint(V, (3, T), generator=torch.Generator().manual_seed(len(cuts)))
    cache = KVCache(model.config, batch_size=3)
    edges = [0, *sorted(cuts), T]
    pieces = [model(token_ids[:, start:end], cache) for start, end in itertools.pairwise(edges)]
    assert cache.length == T
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(token_ids))


@torch.inference_mode()
def test_kept_rows_continue_as_if_the_others_had_never_been() -> None:
    model = small("sdpa")
    token_ids = torch.randint(V, (4, T), generator=torch.Generator().manual_seed(0))
    cache = KVCache(model.config, batch_size=4)
    model(token_ids[:, :6], cache)
    cache.keep_rows([3, 1])
    rest = model(token_ids[[3, 1], 6:], cache)
    torch.testing.assert_close(rest, model(token_ids)[[3, 1], 6:])


def test_the_capacity_is_capped_at_the_context_length() -> None:
    config = small("sdpa").config
    assert KVCache(config, 2, capacity=4).keys.shape == (2, 2, 2, 4, 4)
    assert KVCache(config, 2, capacity=99).capacity == T


@torch.inference_mode()
def test_exceeding_the_capacity_is_refused() -> None:
    model = small("sdpa")
    cache = KVCache(model.config, 1, capacity=3)
    with pytest.raises(ValueError, match="4 tokens exceed the cache's capacity of 3"):
        model(torch.zeros(1, 4, dtype=torch.long), cache)


def test_the_default_capacity_is_the_context_length() -> None:
    config = small("sdpa").config
    cache = KVCache(config, 1, dtype=torch.bfloat16)
    assert cache.capacity == T
    assert cache.keys.dtype == cache.values.dtype == torch.bfloat16


def test_kept_rows_may_repeat() -> None:
    cache = KVCache(small("sdpa").config, 2)
    cache.keys.normal_()
    before = cache.keys.clone()
    cache.keep_rows([1, 0, 1])
    assert torch.equal(cache.keys, before[:, [1, 0, 1]])
