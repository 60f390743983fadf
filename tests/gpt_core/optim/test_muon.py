"""Muon against torch's own, and what it is given of a model."""

import pytest
import torch

from gpt_core.config import GPTConfig, OptimizerConfig
from gpt_core.models import build_model
from gpt_core.optim import build_optimizer
from gpt_core.optim.muon import Muon, orthogonalize

MODEL = GPTConfig(n_layer=2, n_head=2, n_embd=16, context_length=8, vocab_size=31)


@pytest.mark.parametrize(("rows", "columns"), [(24, 24), (64, 16), (16, 64)])
def test_orthogonalizing_keeps_the_directions_and_evens_their_lengths(
    rows: int, columns: int
) -> None:
    u, _, vt = torch.linalg.svd(torch.randn(3, rows, columns), full_matrices=False)
    matrices = u @ torch.diag_embed(torch.rand(3, min(rows, columns)) + 0.1) @ vt
    result = orthogonalize(matrices)
    lengths = torch.linalg.svdvals(result)
    assert lengths.min() > 0.3
    assert lengths.max() < 1.3
    inner = u.mT @ result @ vt.mT
    diagonal = torch.diagonal(inner, dim1=1, dim2=2)
    torch.testing.assert_close(inner, torch.diag_embed(diagonal), atol=1e-4, rtol=0)


def test_the_steps_are_those_of_torch() -> None:
    ours = torch.nn.Parameter(torch.randn(48, 16))
    theirs = torch.nn.Parameter(ours.detach().clone())
    settings = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1}
    mine = Muon([{"params": [ours]}], dtype=torch.float32, **settings)
    reference = torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **settings)
    for _ in range(5):
        gradient = torch.randn(48, 16)
        ours.grad, theirs.grad = gradient, gradient.clone()
        mine.step()
        reference.step()
    # Torch's iteration is in bf16.
    torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=0)


def test_stacked_maps_are_updated_one_by_one() -> None:
    stacked = torch.nn.Parameter(torch.randn(48, 16))
    apart = [torch.nn.Parameter(part.clone()) for part in stacked.detach().chunk(3)]
    settings = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1, "dtype": torch.float32}
    gradient = torch.randn(48, 16)
    stacked.grad = gradient
    for part, its_gradient in zip(apart, gradient.chunk(3), strict=True):
        part.grad = its_gradient.clone()
    Muon([{"params": [stacked], "parts": 3}], **settings).step()
    Muon([{"params": apart}], **settings).step()
    torch.testing.assert_close(stacked.detach(), torch.cat([part.detach() for part in apart]))


def test_muon_has_the_blocks_matrices_and_adamw_the_rest() -> None:
    model = build_model(MODEL, seed=1)
    muon, adamw = build_optimizer(model, OptimizerConfig(kind="muon")).parts
    names = {parameter: name for name, parameter in model.named_parameters()}
    matrices = {names[p] for group in muon.param_groups for p in group["params"]}
    assert {name.removeprefix("h.0.") for name in matrices if name.startswith("h.0.")} == {
        "attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight",
    }  # fmt: skip
    others = {names[p] for group in adamw.param_groups for p in group["params"]}
    assert {"wte.weight", "wpe.weight", "ln_f.weight"} < others
    assert matrices | others == set(names.values())
    assert not matrices & others


def test_a_model_without_blocks_to_train_has_adamw_alone() -> None:
    model = build_model(MODEL, seed=1)
    model.h.requires_grad_(False)
    (only,) = build_optimizer(model, OptimizerConfig(kind="muon")).parts
    assert isinstance(only, torch.optim.AdamW)


def test_a_saved_state_goes_on_to_the_same_bits() -> None:
    def train(model: torch.nn.Module, optimizer: object, seeds: range) -> None:
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            ids = torch.randint(31, (2, 8), generator=generator)
            model(ids).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    config = OptimizerConfig(kind="muon")
    undisturbed, interrupted = build_model(MODEL, seed=1), build_model(MODEL, seed=1)
    train(undisturbed, build_optimizer(undisturbed, config), range(4))
    first = build_optimizer(interrupted, config)
    train(interrupted, first, range(2))
    second = build_optimizer(interrupted, config)
    second.load_state_dict(first.state_dict())
    train(interrupted, second, range(2, 4))
    for one, other in zip(undisturbed.parameters(), interrupted.parameters(), strict=True):
        assert torch.equal(one, other)
