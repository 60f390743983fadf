from dataclasses import replace

import pytest
import torch

from gpt_core.config import GPTConfig
from gpt_core.errors import ConfigError
from gpt_core.generation import Engine, Request, run
from gpt_core.models import GPT, Decoder, SlotCache, StepGraphs, StepKind, build_model

V, T = 97, 300


@pytest.fixture(scope="module")
def model() -> GPT:
    shape = GPTConfig(n_layer=2, n_head=2, n_embd=32, vocab_size=V, context_length=T)
    model = build_model(shape, seed=0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter * 4 + 0.1 * torch.randn_like(parameter))
    return model


def requests(n: int, **settings: object) -> list[Request]:
    generator = torch.Generator().manual_seed(torch.initial_seed() % 1000)
    lengths = torch.randint(1, 200, (n,), generator=generator).tolist()
    asked = Request(prompt=(0,), max_new_tokens=60, temperature=0)
    return [
        replace(
            asked, seed=seed,
            prompt=tuple(torch.randint(V, (length,), generator=generator).tolist()),
            max_new_tokens=20 + 10 * (seed % 9), **settings,
        )
        for seed, length in enumerate(lengths)
    ]  # fmt: skip


def texts(engine: Engine, asked: list[Request], *, slides: bool = False) -> list[list[int]]:
    written: list[list[int]] = [[] for _ in asked]
    for index, update in run(engine, asked, slides=slides):
        written[index] += [choice.token_id for choice in update.tokens]
    return written


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0, "top_p": 0.9}])
def test_recorded_steps_decode_what_plain_ones_do(model: GPT, settings: dict[str, object]) -> None:
    asked = requests(20, **settings)
    asked += asked[-8:]  # a slot holds the beginnings of some
    plain = Engine(model, n_slots=11, linears="plain", prefill_chunk=16)
    recorded = Engine(model, n_slots=11, linears="plain", prefill_chunk=16, steps="recorded")
    expected = texts(plain, asked, slides=True)
    assert texts(recorded, asked, slides=True) == expected
    assert len({tuple(text) for text in expected}) > 15
    assert recorded.n_reused == plain.n_reused > 0


def test_rows_that_fill_up_a_step_change_nothing_that_is_read(model: GPT) -> None:
    engine = Engine(model, n_slots=8, linears="plain", prefill_chunk=16, steps="recorded")
    [long, *others] = requests(7)
    long = replace(long, prompt=long.prompt[:1] * 290, max_new_tokens=11)
    expected = [texts(Engine(model, linears="plain"), [each])[0] for each in (long, *others)]
    for _ in range(2):  # the second time from held beginnings, the longest fills a slot
        assert texts(engine, [long, *others]) == expected


def test_rows_and_keys_are_rounded_up(model: GPT) -> None:
    cache = SlotCache(model.config, n_slots=20)
    steps = StepGraphs(Decoder(model, "plain"), cache)
    assert [steps.count_rows(n) for n in (1, 2, 3, 5, 8, 9, 16, 17)] == [1, 2, 4, 8, 8, 16, 16, 20]
    assert [steps.count_keys(n) for n in (0, 127, 128, 255, 256, 299)] == [
        128, 128, 256, 256, 300, 300,
    ]  # fmt: skip
    steps.prepare()
    assert len(steps._steps) == 6 * 3


@torch.inference_mode()
def test_bf16_steps_are_near_fp32_ones(model: GPT) -> None:
    decoders = Decoder(model, "plain"), Decoder(model, "bf16")
    exact, rounded = (
        StepGraphs(each, SlotCache(model.config, 2, dtype=each.dtype)).next_logits(
            [(5, 0), (7, 0)], 2
        )
        for each in decoders
    )
    assert exact.dtype == rounded.dtype == torch.float32
    assert 0 < (exact - rounded).norm() / exact.norm() < 0.02


@pytest.mark.long
@pytest.mark.soak
def test_compiled_steps_decode_what_plain_ones_do(model: GPT) -> None:
    asked = requests(6)
    compiled = Engine(model, n_slots=4, linears="plain", steps="compiled")
    assert texts(compiled, asked) == texts(Engine(model, n_slots=4, linears="plain"), asked)


@pytest.mark.parametrize("kind", ["recorded", "compiled"])
def test_what_is_not_tensors_alone_is_not_recorded(model: GPT, kind: StepKind) -> None:
    with pytest.raises(ConfigError, match=f"steps={kind} needs weights=plain or bf16"):
        Engine(model, n_slots=1, linears="int8", steps=kind)
