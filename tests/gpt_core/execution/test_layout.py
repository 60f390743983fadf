"""A layout computes the loss with its numerics; gathering and sharding are inverse."""

from dataclasses import replace

import pytest
import torch

from gpt_core.config import ComputeConfig, GPTConfig
from gpt_core.execution.layout import DDPLayout, Layout, gather_full, shard_like
from gpt_core.execution.numerics import resolve_numerics
from gpt_core.execution.ranks import Ranks
from gpt_core.models import build_model, next_token_loss

CPU = torch.device("cpu")
SHAPE = GPTConfig(n_layer=3, n_head=2, n_embd=16, context_length=32, vocab_size=31)


def layout_of(**compute: object) -> Layout:
    numerics = resolve_numerics(ComputeConfig(precision="fp32", **compute), CPU)
    return Layout(build_model(SHAPE, seed=1).train(), Ranks(), numerics)


@pytest.fixture
def token_ids() -> torch.Tensor:
    return torch.randint(31, (2, 32), generator=torch.Generator().manual_seed(3))


def test_the_loss_is_the_models(token_ids: torch.Tensor) -> None:
    layout = layout_of()
    loss = layout.loss(token_ids, token_ids)
    torch.testing.assert_close(loss, next_token_loss(layout.model(token_ids), token_ids))


def stored_for_backward(layout: Layout, token_ids: torch.Tensor) -> tuple[int, list[torch.Tensor]]:
    """Elements kept for the backward pass, and the gradients."""
    sizes: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = layout.loss(token_ids, token_ids)
    loss.backward()
    return sum(sizes), [parameter.grad for parameter in layout.model.parameters()]


def test_recomputing_keeps_fewer_activations_and_gives_the_same_gradients(
    token_ids: torch.Tensor,
) -> None:
    kept, gradients = stored_for_backward(layout_of(), token_ids)
    kept_less, recomputed = stored_for_backward(layout_of(recompute=True), token_ids)
    assert kept_less < kept / 2
    assert all(torch.equal(a, b) for a, b in zip(gradients, recomputed, strict=True))


def test_the_loss_module_is_rebuilt_only_for_other_numerics() -> None:
    layout = layout_of()
    before = layout.loss
    layout.set_numerics(replace(layout.numerics))
    assert layout.loss is before
    layout.set_numerics(replace(layout.numerics, bf16_residual=True))
    assert layout.loss is not before
    assert layout.model.bf16_residual


def test_the_description_names_devices_and_strategy() -> None:
    layout = layout_of()
    assert layout.description == "cpu"
    several = DDPLayout(layout.model, Ranks(0, 2), layout.numerics)
    assert several.description == "2 × cpu, replicas (DDP)"


def test_only_rank_0_has_the_weights() -> None:
    layout = layout_of()
    assert layout.weights().keys() >= {"wte.weight", "h.0.attn.c_attn.weight"}
    assert Layout(layout.model, Ranks(1, 2), layout.numerics).weights() == {}


def test_a_tensor_that_is_not_sharded_is_returned_as_it_is() -> None:
    tensor = torch.ones(3)
    assert gather_full(tensor) is tensor
    assert shard_like(tensor, torch.nn.Parameter(torch.zeros(3))) is tensor
