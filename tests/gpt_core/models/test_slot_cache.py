import pytest
import torch

from gpt_core.config import GPTConfig
from gpt_core.models import GPT, SlotCache, SlotStep, build_model

T, V = 12, 31


def small(backend: str) -> GPT:
    config = GPTConfig(
        n_layer=2, n_head=2, n_embd=8, vocab_size=V, context_length=T, attention=backend
    )
    model = build_model(config, seed=0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
    return model


@pytest.mark.parametrize("backend", ["explicit", "sdpa"])
@torch.inference_mode()
def test_rows_of_different_lengths_have_the_logits_that_they_have_alone(backend: str) -> None:
    model, cache = small(backend), SlotCache(small(backend).config, n_slots=4)
    texts = torch.randint(V, (3, T), generator=torch.Generator().manual_seed(1))
    lengths = [1, 5, 9]
    for slot, length in enumerate(lengths, start=1):
        model(texts[slot - 1 : slot, :length], SlotStep(cache, slot, [0], length))
    for step in range(3):
        newest = torch.stack([text[n + step] for text, n in zip(texts, lengths, strict=True)])
        logits = model.next_logits(newest[:, None], SlotStep(cache, 1, [n + step for n in lengths]))
        for row, length in enumerate(lengths):
            expected = model(texts[row : row + 1, : length + step + 1])[:, -1]
            torch.testing.assert_close(logits[row : row + 1], expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_slot_can_be_copied_swapped_and_cleared() -> None:
    model = small("sdpa")
    cache = SlotCache(model.config, n_slots=3)
    for slot in (0, 1):
        model(torch.full((1, 4), slot), SlotStep(cache, slot, [0], 4))
    first, second = cache.keys[:, 0].clone(), cache.values[:, 1].clone()
    cache.swap(0, 1, 4)
    cache.copy(1, 2, 3)
    assert torch.equal(cache.keys[:, 1], first)
    assert torch.equal(cache.values[:, 0], second)
    assert torch.equal(cache.keys[:, 2, :, :3], first[:, :, :3])
    assert not cache.keys[:, 2, :, 3:].any()
    cache.clear(1)
    assert not cache.keys[:, 1].any()
    assert not cache.values[:, 1].any()
    assert cache.values[:, 0].any()


def test_a_step_behind_the_context_is_refused() -> None:
    model = small("sdpa")
    cache = SlotCache(model.config, n_slots=2)
    with pytest.raises(ValueError, match="13 tokens exceed the context length of 12"):
        model.next_logits(torch.zeros(2, 1, dtype=torch.long), SlotStep(cache, 0, [3, T]))
