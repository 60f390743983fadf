import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from gpt_core.config import GPTConfig
from gpt_core.errors import ConfigError
from gpt_core.models import GPT, KVCache, build_model, next_token_loss

V, T = 61, 16
SHAPE = {"n_layer": 3, "n_head": 4, "n_embd": 32, "vocab_size": V, "context_length": T}


def ids(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("backend", ["explicit", "sdpa"])
@pytest.mark.parametrize("changed", [1, 7, T - 1])
def test_the_model_is_causal(backend: str, changed: int) -> None:
    model = build_model(GPTConfig(**SHAPE, attention=backend), seed=1)
    token_ids = ids(2, T)
    other = token_ids.clone()
    other[:, changed:] = (other[:, changed:] + 1) % V
    before, after = model(token_ids), model(other)
    torch.testing.assert_close(after[:, :changed], before[:, :changed])
    assert not torch.allclose(after[:, changed], before[:, changed])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_both_backends_agree_in_logits_and_gradients(tied: bool, bias: bool) -> None:
    explicit, fused = (
        build_model(GPTConfig(**SHAPE, attention=backend, tied_head=tied, bias=bias), seed=2)
        for backend in ("explicit", "sdpa")
    )
    token_ids, targets = ids(2, T), ids(2, T, seed=1)
    for model in (explicit, fused):
        next_token_loss(model(token_ids), targets).backward()
    torch.testing.assert_close(explicit(token_ids), fused(token_ids))
    for (name, one), two in zip(explicit.named_parameters(), fused.parameters(), strict=True):
        assert one.grad is not None, name
        torch.testing.assert_close(one.grad, two.grad, msg=lambda m, name=name: f"{name}: {m}")


def test_rows_of_a_batch_are_independent() -> None:
    model = build_model(GPTConfig(**SHAPE), seed=3)
    token_ids = ids(4, T)
    alone = torch.cat([model(row.unsqueeze(0)) for row in token_ids])
    torch.testing.assert_close(model(token_ids), alone)


def test_logits_depend_on_the_position() -> None:
    model = build_model(GPTConfig(**SHAPE), seed=3)
    logits = model(torch.full((1, T), 5))
    assert not torch.allclose(logits[:, 0], logits[:, -1])


def test_next_logits_are_those_of_the_last_position() -> None:
    model = build_model(GPTConfig(**SHAPE), seed=4)
    torch.testing.assert_close(model.next_logits(ids(2, 9)), model(ids(2, 9))[:, -1])


def test_the_initial_loss_is_that_of_a_uniform_distribution() -> None:
    model = build_model(GPTConfig(**SHAPE), seed=5)
    loss = next_token_loss(model(ids(8, T)), ids(8, T, seed=1))
    assert loss.item() == pytest.approx(math.log(V), rel=0.02)


def test_initial_weights_have_the_standard_deviations_of_gpt2() -> None:
    config = GPTConfig(n_layer=8, n_head=4, n_embd=128, vocab_size=512, context_length=64)
    for name, weight in build_model(config, seed=6).named_parameters():
        if name.endswith("bias"):
            assert not weight.any(), name
        elif ".ln_" in f".{name}":
            assert (weight == 1).all(), name
        else:
            expected = 0.02 / math.sqrt(16) if name.endswith("c_proj.weight") else 0.02
            error = 5 / math.sqrt(2 * weight.numel())  # five standard errors
            assert weight.std().item() == pytest.approx(expected, rel=error), name
            assert abs(weight.mean().item()) < 5 * expected / math.sqrt(weight.numel()), name


def test_a_tied_head_shares_its_weight_with_the_embedding() -> None:
    tied, untied = (build_model(GPTConfig(**SHAPE, tied_head=t), seed=0) for t in (True, False))
    assert tied.lm_head.weight is tied.wte.weight
    assert untied.lm_head.weight is not untied.wte.weight
    assert "lm_head.weight" not in dict(tied.named_parameters())


def test_the_model_compiles_into_one_graph() -> None:
    model = build_model(GPTConfig(**SHAPE), seed=7)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(ids(2, T)), model(ids(2, T)))


@pytest.mark.parametrize("backend", ["explicit", "sdpa"])
def test_bfloat16_autocast_barely_changes_the_loss(backend: str) -> None:
    model = build_model(GPTConfig(**SHAPE, attention=backend), seed=8)
    token_ids, targets = ids(4, T), ids(4, T, seed=1)
    exact = next_token_loss(model(token_ids), targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        in_bf16 = next_token_loss(model(token_ids), targets)
    in_bf16.backward()
    assert in_bf16.dtype == torch.float32
    assert in_bf16.item() == pytest.approx(exact.item(), rel=5e-3)


@pytest.mark.parametrize("backend", ["explicit", "sdpa"])
def test_only_the_explicit_model_avoids_torchs_fused_kernels(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: set[str] = set()
    names = ("layer_norm", "gelu", "scaled_dot_product_attention")

    def recorded(name: str) -> Callable[..., torch.Tensor]:
        kernel = getattr(F, name)
        return lambda *args, **settings: called.add(name) or kernel(*args, **settings)

    for name in names:
        monkeypatch.setattr(F, name, recorded(name))
    build_model(GPTConfig(**SHAPE, attention=backend), seed=0)(ids(1, 4))
    assert called == (set(names) if backend == "sdpa" else set())


def test_a_model_constructed_directly_is_initialized_and_tied() -> None:
    torch.manual_seed(3)
    model = GPT(GPTConfig(**SHAPE))
    assert model.lm_head.weight is model.wte.weight
    for weight in (model.wte.weight, model.wpe.weight, model.h[2].mlp.c_fc.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.15)


def test_a_model_without_a_vocabulary_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="vocab_size must be known"):
        GPT(GPTConfig())


def test_exceeding_the_context_length_is_refused() -> None:
    model = build_model(GPTConfig(**SHAPE), seed=0).eval()
    with pytest.raises(ValueError, match="17 tokens exceed the context length of 16"):
        model(ids(1, T + 1))
    cache = KVCache(model.config, 1)
    with torch.inference_mode():
        model(ids(1, T), cache)
        with pytest.raises(ValueError, match="17 tokens exceed the context length of 16"):
            model(ids(1, 1), cache)


def test_the_model_can_overfit_one_batch() -> None:
    torch.manual_seed(0)
    model = build_model(GPTConfig(**SHAPE), seed=9)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    token_ids, targets = ids(2, T), ids(2, T, seed=1)
    for _ in range(150):
        loss = next_token_loss(model(token_ids), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("backend", ["explicit", "sdpa"])
def test_recompute_gives_bitwise_equal_gradients(backend: str) -> None:
    config = GPTConfig(
        n_layer=3, n_head=2, n_embd=16, context_length=8, vocab_size=V, dropout=0.3,
        attention=backend,  # type: ignore[arg-type]
    )  # fmt: skip
    model = build_model(config, seed=3).train()
    found = []
    for recompute in (False, True):
        model.set_execution(recompute=recompute)
        model.zero_grad()
        torch.manual_seed(5)
        next_token_loss(model(ids(2, 8)), ids(2, 8, seed=1)).backward()  # type: ignore[no-untyped-call]
        found.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))  # type: ignore[arg-type]


def test_recompute_stores_one_input_per_block_for_the_backward_pass() -> None:
    model = build_model(GPTConfig(**SHAPE), seed=3)

    def stored_values(recompute: bool) -> int:
        model.set_execution(recompute=recompute)
        sizes: list[int] = []

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model.hidden(ids(4, T))
        return sum(sizes)

    assert stored_values(recompute=True) < stored_values(recompute=False) / 3


def test_execution_settings_that_are_left_out_do_not_change() -> None:
    model = build_model(GPTConfig(**SHAPE), seed=3)
    assert (model.recompute, model.bf16_residual) == (False, False)
    model.set_execution(recompute=True)
    model.set_execution(bf16_residual=True)
    assert (model.recompute, model.bf16_residual) == (True, True)


def test_blocks_with_zero_residual_projections_start_as_the_identity() -> None:
    model = build_model(GPTConfig(**SHAPE), seed=3, zero_residual=True)
    x = torch.randn(2, T, 32, generator=torch.Generator().manual_seed(0))
    for block in model.h:
        assert torch.equal(block(x), x)
        assert block.attn.c_attn.weight.any()
    assert model.wte.weight.any()


def test_embeddings_are_dropped_out_in_training() -> None:
    model = build_model(GPTConfig(**SHAPE, dropout=0.5), seed=3)
    seen: list[torch.Tensor] = []
    model.h[0].register_forward_pre_hook(lambda block, given: seen.append(given[0]))
    torch.manual_seed(0)
    model(ids(2, T))
    model.eval()(ids(2, T))
    assert 0.4 < (seen[0] == 0).float().mean() < 0.6
    assert not (seen[1] == 0).any()
