"""Which optimizer updates which parameters, with which weight decay, and its state."""

import pytest
import torch

from gpt_core.config import GPTConfig, OptimizerConfig
from gpt_core.models import build_model
from gpt_core.optim import build_optimizer
from gpt_core.optim.muon import Muon

MODEL = GPTConfig(n_layer=2, n_head=2, n_embd=16, context_length=8, vocab_size=31)


def test_only_matrices_and_embeddings_decay() -> None:
    model = build_model(MODEL, seed=1)
    (adamw,) = build_optimizer(model, OptimizerConfig(weight_decay=0.3, beta2=0.9)).parts
    decays = {
        name: group["weight_decay"]
        for group in adamw.param_groups
        for parameter in group["params"]
        for name, value in model.named_parameters()
        if value is parameter
    }
    assert decays.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        assert decays[name] == (0.3 if parameter.dim() >= 2 else 0.0), name
    assert adamw.param_groups[0]["betas"] == (0.9, 0.9)


def test_the_first_step_of_adamw_follows_its_formula() -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    optimizer = build_optimizer(model, OptimizerConfig(weight_decay=0.1))
    optimizer.set_learning_rate(0.5)
    model.weight.grad = torch.tensor([[3.0, -2.0]])
    optimizer.step()
    expected = before * (1 - 0.5 * 0.1) - 0.5 * model.weight.grad.sign()
    torch.testing.assert_close(model.weight.detach(), expected)
    optimizer.zero_grad()
    assert model.weight.grad is None


def test_state_tensors_are_allocated_and_loaded_by_name() -> None:
    first, second = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    optimizers = [build_optimizer(model, OptimizerConfig()) for model in (first, second)]
    for model in (first, second):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
    optimizers[0].step()
    tensors = optimizers[0].tensors()
    assert {name.rpartition(".")[2] for name in tensors} == {"step", "exp_avg", "exp_avg_sq"}
    empty = {name: optimizers[1].empty_like(name, value.shape) for name, value in tensors.items()}
    for name, value in tensors.items():
        assert empty[name].shape == value.shape
        assert not empty[name].any()
    optimizers[1].load_tensors({name: value.clone() for name, value in tensors.items()})
    second.load_state_dict(first.state_dict())
    for model, optimizer in zip((first, second), optimizers, strict=True):
        model.weight.grad = torch.full_like(model.weight, -3.0)  # not what fresh moments do
        optimizer.step()
    assert torch.equal(first.weight, second.weight)


def test_muon_updates_the_blocks_matrices_and_adamw_the_rest() -> None:
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


@pytest.mark.parametrize("bf16", [False, True])
def test_steps_are_those_of_the_optimizers_by_themselves(
    bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bf16, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    config = OptimizerConfig(
        kind="muon", learning_rate=0.01, weight_decay=0.2, momentum=0.8, beta1=0.7, epsilon=1e-2
    )
    model, twin = build_model(MODEL, seed=1), build_model(MODEL, seed=1)
    ours = build_optimizer(model, config)
    matrices = [p for name, p in twin.h.named_parameters() if p.dim() == 2]
    maps = [  # queries, keys and values are three maps
        [torch.nn.Parameter(part) for part in p.detach().chunk(3 if len(p) == 48 else 1)]
        for p in matrices
    ]
    tables = [twin.wte.weight, twin.wpe.weight]
    vectors = [p for p in twin.parameters() if p.dim() == 1]
    dtype = torch.bfloat16 if bf16 else torch.float32
    muon = Muon(
        [{"params": parts} for parts in maps], lr=0.01, momentum=0.8, weight_decay=0.2, dtype=dtype
    )
    groups = [{"params": tables}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=0.01, betas=(0.7, config.beta2), eps=1e-2,
                              weight_decay=0.2)  # fmt: skip
    for _ in range(3):
        for parameter, its_twin in zip(model.parameters(), twin.parameters(), strict=True):
            parameter.grad = torch.randn_like(parameter)
            its_twin.grad = parameter.grad.clone()
        for parameter, parts in zip(matrices, maps, strict=True):
            for part, gradient in zip(parts, parameter.grad.chunk(len(parts)), strict=True):
                part.grad = gradient
        for each in (ours, muon, adamw):
            each.step()
    for parameter, its_twin in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter, its_twin)


def test_a_model_without_trainable_blocks_is_updated_by_adamw_alone() -> None:
    model = build_model(MODEL, seed=1)
    model.h.requires_grad_(False)
    (only,) = build_optimizer(model, OptimizerConfig(kind="muon")).parts
    assert isinstance(only, torch.optim.AdamW)


def test_a_restored_state_gives_the_same_bits() -> None:
    def train(model: torch.nn.Module, optimizer: object, seeds: range) -> None:
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            ids = torch.randint(31, (2, 8), generator=generator)
            model(ids).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    config = OptimizerConfig(kind="muon")
    uninterrupted, interrupted = build_model(MODEL, seed=1), build_model(MODEL, seed=1)
    train(uninterrupted, build_optimizer(uninterrupted, config), range(4))
    first = build_optimizer(interrupted, config)
    train(interrupted, first, range(2))
    second = build_optimizer(interrupted, config)
    second.load_state_dict(first.state_dict())
    train(interrupted, second, range(2, 4))
    for one, other in zip(uninterrupted.parameters(), interrupted.parameters(), strict=True):
        assert torch.equal(one, other)
