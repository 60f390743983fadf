"""Long texts in windows, over which a classifier's logits are averaged."""

import random

import torch

from gpt_core.config import GPTConfig
from gpt_core.models import GPT, GPTClassifier

SHAPE = GPTConfig(n_layer=1, n_head=2, n_embd=16, vocab_size=50, context_length=8)


def test_a_long_text_has_the_mean_logits_of_windows_that_cover_it() -> None:
    model, rng = GPTClassifier(GPT(SHAPE), 3, window=8).double().eval(), random.Random()
    lengths = [29, 3, 8, 16, 9]
    texts = [[rng.randrange(49) for _ in range(n)] for n in lengths]
    padded = torch.full((5, 29), 49)
    for row, text in zip(padded, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    logits = model(padded, torch.tensor(lengths))
    starts = {29: [0, 7, 14, 21], 3: [0], 8: [0], 16: [0, 8], 9: [0, 1]}
    for found, text in zip(logits, texts, strict=True):
        parts = [torch.tensor([text[start : start + 8]]) for start in starts[len(text)]]
        alone = [model(part, torch.tensor([part.size(1)]))[0] for part in parts]
        torch.testing.assert_close(found, torch.stack(alone).mean(dim=0))


def test_gradients_reach_every_window() -> None:
    model = GPTClassifier(GPT(SHAPE), 2, window=8)
    model(torch.arange(24)[None], torch.tensor([24])).sum().backward()
    gradient = model.gpt.wte.weight.grad
    assert gradient is not None
    assert gradient[:24].abs().sum(dim=1).min() > 0
