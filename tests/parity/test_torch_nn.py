"""Our layers against torch's own, with the same weights and random inputs."""

import pytest
import torch
from torch import nn

from gpt_core.config import GPTConfig
from gpt_core.models import (
    GELU,
    FeedForward,
    LayerNorm,
    MultiHeadAttention,
    SelfAttention,
    TransformerBlock,
)

B, T, C, H = 3, 9, 24, 4
BACKENDS = pytest.mark.parametrize("backend", ["explicit", "sdpa"])


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(B, T, C)  # different in every run


def randomized(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def test_layer_norm(x: torch.Tensor) -> None:
    theirs = randomized(nn.LayerNorm(C, eps=1e-5))
    ours = LayerNorm(C, explicit=True)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x), theirs(x))


def test_gelu(x: torch.Tensor) -> None:
    torch.testing.assert_close(GELU(explicit=True)(x), nn.GELU(approximate="tanh")(x))


def test_self_attention(x: torch.Tensor) -> None:
    ours = SelfAttention(C, C)
    theirs = nn.MultiheadAttention(C, 1, bias=False, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(
            torch.cat([ours.query.weight, ours.key.weight, ours.value.weight])
        )
        theirs.out_proj.weight.copy_(torch.eye(C))
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


def their_attention(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(C, H, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.c_attn.weight,
            "in_proj_bias": ours.c_attn.bias,
            "out_proj.weight": ours.c_proj.weight,
            "out_proj.bias": ours.c_proj.bias,
        }
    )
    return theirs


@BACKENDS
def test_multi_head_attention(backend: str, x: torch.Tensor) -> None:
    ours = MultiHeadAttention(GPTConfig(n_embd=C, n_head=H, attention=backend))
    theirs = their_attention(randomized(ours))
    hidden = torch.ones(T, T, dtype=torch.bool).triu(1)
    torch.testing.assert_close(
        ours(x), theirs(x, x, x, attn_mask=hidden, need_weights=False)[0], atol=1e-4, rtol=1e-4
    )


def test_feed_forward(x: torch.Tensor) -> None:
    ours = randomized(FeedForward(GPTConfig(n_embd=C, n_head=H, attention="explicit")))
    theirs = nn.Sequential(nn.Linear(C, 4 * C), nn.GELU("tanh"), nn.Linear(4 * C, C))
    theirs[0].load_state_dict(ours.c_fc.state_dict())
    theirs[2].load_state_dict(ours.c_proj.state_dict())
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=1e-4)


@BACKENDS
def test_transformer_block(backend: str, x: torch.Tensor) -> None:
    ours = randomized(TransformerBlock(GPTConfig(n_embd=C, n_head=H, attention=backend)))
    theirs = nn.TransformerEncoderLayer(
        C,
        H,
        4 * C,
        dropout=0.0,
        activation=nn.GELU("tanh"),
        batch_first=True,
        norm_first=True,
    )
    theirs.self_attn.load_state_dict(their_attention(ours.attn).state_dict())
    theirs.linear1.load_state_dict(ours.mlp.c_fc.state_dict())
    theirs.linear2.load_state_dict(ours.mlp.c_proj.state_dict())
    theirs.norm1.load_state_dict(ours.ln_1.state_dict())
    theirs.norm2.load_state_dict(ours.ln_2.state_dict())
    mask = nn.Transformer.generate_square_subsequent_mask(T)
    torch.testing.assert_close(
        ours(x), theirs(x, src_mask=mask, is_causal=True), atol=1e-4, rtol=1e-4
    )
