import torch

from gpt_core.config import GPTConfig
from gpt_core.models.block import TransformerBlock, build_norm

CONFIG = GPTConfig(n_embd=12, n_head=3)


def test_a_block_with_zero_projections_is_the_identity() -> None:
    block = TransformerBlock(CONFIG)
    for projection in (block.attn.c_proj, block.mlp.c_proj):
        torch.nn.init.zeros_(projection.weight)
        torch.nn.init.zeros_(projection.bias)
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(3))
    assert torch.equal(block(x), x)


def test_a_block_applies_pre_norm_attention_then_the_feed_forward_network() -> None:
    block = TransformerBlock(CONFIG)
    torch.nn.init.normal_(block.ln_1.weight)
    torch.nn.init.normal_(block.ln_2.weight)
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(4))
    after_attention = x + block.attn(block.ln_1(x))
    expected = after_attention + block.mlp(block.ln_2(after_attention))
    torch.testing.assert_close(block(x), expected)


def test_a_norm_follows_the_configuration() -> None:
    norm = build_norm(
        GPTConfig(n_embd=8, n_head=2, bias=False, layer_norm_epsilon=0.5, attention="explicit")
    )
    assert norm.weight.shape == (8,)
    assert norm.bias is None
    assert norm.epsilon == 0.5
    assert norm.explicit
    assert not build_norm(CONFIG).explicit
