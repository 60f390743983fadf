import math

import pytest
import torch
from torch import nn

from gpt_core.config import GPTConfig
from gpt_core.errors import ConfigError
from gpt_core.models import GPT, Decoder, LinearKind, SlotCache, SlotStep, build_model

V, T = 31, 24


def varied(**settings: object) -> GPT:
    shape = {"n_layer": 2, "n_head": 2, "n_embd": 16, "vocab_size": V, "context_length": T}
    model = build_model(GPTConfig(**(shape | settings)), seed=0).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter * 5 + 0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("settings", [{}, {"bias": False, "tied_head": False}])
@pytest.mark.parametrize("kind", ["plain", "packed", "auto"])
@torch.inference_mode()
def test_the_loop_computes_what_the_model_computes(
    kind: LinearKind, settings: dict[str, object]
) -> None:
    model = varied(**settings)
    decoder, cache = Decoder(model, kind), SlotCache(model.config, n_slots=3)
    assert decoder.kind in ("plain", "packed")
    texts, lengths = torch.randint(V, (3, T)), [3, 9, 17]
    for slot, n in enumerate(lengths):
        logits = decoder.logits(texts[slot : slot + 1, :n], SlotStep(cache, slot, [0], n))
        expected = model(texts[slot : slot + 1, :n])
        torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)
    newest = torch.stack([texts[slot, n : n + 1] for slot, n in enumerate(lengths)])
    logits = decoder.next_logits(newest, SlotStep(cache, 0, lengths))
    for slot, n in enumerate(lengths):
        expected = model(texts[slot : slot + 1, : n + 1])[:, -1]
        torch.testing.assert_close(logits[slot : slot + 1], expected, atol=1e-3, rtol=1e-3)
        assert expected.std() > 0.5


@pytest.mark.parametrize("kind", ["packed", "int8"])
@pytest.mark.parametrize("tied_head", [True, False])
@torch.inference_mode()
def test_a_decoder_that_may_drop_weights_keeps_each_once_and_computes_the_same(
    kind: LinearKind, tied_head: bool
) -> None:
    model, text = varied(tied_head=tied_head), torch.randint(V, (1, T))

    def logits(decoder: Decoder) -> torch.Tensor:
        return decoder.logits(text, SlotStep(SlotCache(model.config, n_slots=1), 0, [0], T))

    copied = logits(Decoder(model, kind))
    assert len([*model.parameters()]) == len([*varied(tied_head=tied_head).parameters()])
    alone = logits(Decoder(model, kind, keep_weights=False))
    assert torch.equal(alone, copied)
    left = {name for name, each in model.named_parameters() if each.dim() == 2}
    assert left == {"wte.weight", "wpe.weight"}


@torch.inference_mode()
def test_layers_that_are_used_as_they_are_keep_their_weights() -> None:
    model = varied()
    weights = [name for name, _ in model.named_parameters()]
    assert Decoder(model, "plain", keep_weights=False).kind == "plain"
    assert [name for name, _ in model.named_parameters()] == weights


def test_what_only_the_model_can_compute_is_left_to_it() -> None:
    assert Decoder(varied(attention="explicit")).kind == "model"
    adapted = varied()
    adapted.h[0].mlp.c_fc = nn.Sequential(adapted.h[0].mlp.c_fc)  # type: ignore[union-attr]
    assert Decoder(adapted).kind == "model"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Decoder(varied()).kind == "model"
    assert Decoder(varied().bfloat16(), "packed").kind == "plain"
    with pytest.raises(ConfigError, match="int8 needs a model in float32 on a CPU"):
        Decoder(adapted, "int8")
    with pytest.raises(ConfigError, match="bf16 needs a model without adapters"):
        Decoder(adapted, "bf16")


@torch.inference_mode()
def test_int8_weights_change_the_loss_by_less_than_half_a_percent() -> None:
    model = build_model(
        GPTConfig(n_layer=2, n_head=2, n_embd=64, vocab_size=V, context_length=T), seed=0
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    texts = torch.randint(V, (64, T), generator=torch.Generator().manual_seed(1))
    cache = SlotCache(model.config, n_slots=1)
    expected = model(texts).log_softmax(dim=-1)
    decoder = Decoder(model, "int8")
    entropy = -(expected.exp() * expected).sum(dim=-1).mean()
    found = torch.cat([decoder.logits(text[None], SlotStep(cache, 0, [0], T)) for text in texts])
    divergence = (expected.exp() * (expected - found.log_softmax(dim=-1))).sum(dim=-1).mean()
    assert entropy < 0.97 * math.log(V), "the model is not indifferent"
    assert 0 < divergence < 0.005 * entropy
