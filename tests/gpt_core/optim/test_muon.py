"""Muon compared with torch's own implementation, and its orthogonalization."""

import pytest
import torch

from gpt_core.optim.muon import Muon, orthogonalize


@pytest.mark.parametrize(("rows", "columns"), [(24, 24), (64, 16), (16, 64)])
def test_orthogonalizing_keeps_singular_vectors_and_evens_singular_values(
    rows: int, columns: int
) -> None:
    u, _, vt = torch.linalg.svd(torch.randn(3, rows, columns), full_matrices=False)
    sizes = torch.tensor([1e-4, 1.0, 1e4])[:, None]  # each matrix is normalized by itself
    matrices = u @ torch.diag_embed(sizes * (torch.rand(3, min(rows, columns)) + 0.1)) @ vt
    result = orthogonalize(matrices)
    lengths = torch.linalg.svdvals(result)
    assert lengths.min() > 0.3
    assert lengths.max() < 1.3
    inner = u.mT @ result @ vt.mT
    diagonal = torch.diagonal(inner, dim1=1, dim2=2)
    torch.testing.assert_close(inner, torch.diag_embed(diagonal), atol=1e-4, rtol=0)


def test_a_matrix_of_zeros_stays_one() -> None:
    assert torch.equal(orthogonalize(torch.zeros(1, 4, 6)), torch.zeros(1, 4, 6))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.bfloat16, 1e-6), (torch.float32, 5e-3)]
)  # torch iterates in bf16
def test_the_steps_are_those_of_torch(dtype: torch.dtype, tolerance: float) -> None:
    ours = torch.nn.Parameter(torch.randn(48, 16))
    theirs = torch.nn.Parameter(ours.detach().clone())
    settings = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1}
    muon = Muon([{"params": [ours]}], dtype=dtype, **settings)
    reference = torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **settings)
    for _ in range(5):
        gradient = torch.randn(48, 16)
        ours.grad, theirs.grad = gradient, gradient.clone()
        muon.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0)


def test_stacked_maps_are_orthogonalized_one_by_one() -> None:
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
