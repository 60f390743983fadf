"""Every path to the training loss against plain logits and cross-entropy."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from gpt_core.config import GPTConfig
from gpt_core.models import GPT, build_model, model_loss, next_token_loss
from gpt_core.models.model_loss import padded_logits

SHAPE = GPTConfig(n_layer=2, n_head=2, n_embd=32, context_length=16, vocab_size=83)


def gradients(model: GPT, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


@pytest.mark.parametrize("attention", ["explicit", "sdpa"])
def test_the_loss_equals_the_cross_entropy_of_the_logits(attention: str) -> None:
    model = build_model(replace(SHAPE, attention=attention), seed=1)
    ids, targets = torch.randint(83, (2, 3, 16)).unbind(0)
    ours, plain = model_loss(model, ids, targets), next_token_loss(model(ids), targets)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(gradients(model, ours), gradients(model, plain))


@pytest.mark.parametrize("n_tokens", [83, 128, 129])
def test_padding_changes_neither_loss_nor_gradients(n_tokens: int) -> None:
    hidden = torch.randn(2, 5, 16, requires_grad=True)
    weight = torch.randn(n_tokens, 16, requires_grad=True)
    targets = torch.randint(n_tokens, (2, 5))
    logits = padded_logits(hidden, weight)
    assert logits.size(-1) % 128 == 0
    assert (logits[..., n_tokens:] == -torch.inf).all()
    padded, plain = (next_token_loss(z, targets) for z in (logits, hidden @ weight.T))
    torch.testing.assert_close(padded, plain)
    for part in (hidden, weight):
        (ours,), (theirs,) = (
            torch.autograd.grad(loss, part, retain_graph=True) for loss in (padded, plain)
        )
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("attention", "device", "padded", "expected"),
    [
        ("explicit", "cpu", True, [83]),
        ("sdpa", "cpu", True, []),  # fused by hand
        ("explicit", "meta", True, [83]),
        ("sdpa", "meta", True, [128]),
        ("sdpa", "meta", False, [83]),
    ],
)
def test_width_of_the_logits_on_each_path(
    monkeypatch: pytest.MonkeyPatch, attention: str, device: str, padded: bool, expected: list[int]
) -> None:
    """The meta device computes shapes only, on the path of a GPU."""
    model = build_model(replace(SHAPE, attention=attention), seed=1).to(device)
    widths: list[int] = []
    cross_entropy = F.cross_entropy

    def recorded(logits: torch.Tensor, *args: Any, **settings: Any) -> torch.Tensor:
        widths.append(logits.size(-1))
        return cross_entropy(logits, *args, **settings)

    monkeypatch.setattr(F, "cross_entropy", recorded)
    ids = torch.zeros(2, 16, dtype=torch.long, device=device)
    assert model_loss(model, ids, ids, padded=padded).shape == ()
    assert widths == expected


def test_the_residual_stream_is_in_bf16_under_autocast_only() -> None:
    model = build_model(SHAPE, seed=2)
    model.set_execution(bf16_residual=True)
    seen: list[torch.dtype] = []
    model.h[1].register_forward_pre_hook(lambda block, given: seen.append(given[0].dtype))
    ids = torch.randint(83, (2, 16))
    exact = model(ids)
    with torch.autocast("cpu", torch.bfloat16):
        in_bf16 = model(ids)
        model.set_execution(bf16_residual=False)
        model(ids)
    assert seen == [torch.float32, torch.bfloat16, torch.float32]
    torch.testing.assert_close(in_bf16.float(), exact, atol=0.02, rtol=0.02)


def test_an_fp8_head_gives_nearly_the_same_loss_and_gradients() -> None:
    model = build_model(SHAPE, seed=3)
    ids, targets = torch.randint(83, (2, 3, 16)).unbind(0)
    in_fp8 = model_loss(model, ids, targets, fp8=True)
    plain = model_loss(model, ids, targets)
    assert in_fp8.item() == pytest.approx(plain.item(), abs=0.01)
    ours, theirs = gradients(model, in_fp8), gradients(model, plain)
    for name, gradient in theirs.items():
        if gradient.norm() > 1e-6:  # the keys' bias has none
            assert (ours[name] - gradient).norm() < 0.2 * gradient.norm(), name
