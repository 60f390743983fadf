"""Small models with random weights and biases, as no training would leave them."""

import torch

from gpt_core.config import GPTConfig
from gpt_core.models import GPT, build_model

V, T, C, H = 31, 12, 24, 3


def random_model(*, bias: bool = True, tied: bool = True, backend: str = "sdpa") -> GPT:
    config = GPTConfig(
        n_layer=2, n_head=H, n_embd=C, vocab_size=V, context_length=T, bias=bias,
        tied_head=tied, attention=backend,
    )  # fmt: skip
    model = build_model(config, seed=int(torch.randint(1 << 30, ())))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def random_ids(n: int = T) -> list[int]:
    return torch.randint(V, (n,)).tolist()
