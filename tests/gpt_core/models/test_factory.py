import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.config import GPTConfig
from gpt_core.errors import ConfigError
from gpt_core.models import GPT, allocate_model, build_model, count_parameters, flops_per_token

RELEASED = {  # OpenAI's four releases: layers, heads, width, parameters
    "124M": (12, 12, 768, 124_439_808),
    "355M": (24, 16, 1024, 354_823_168),
    "774M": (36, 20, 1280, 774_030_080),
    "1558M": (48, 25, 1600, 1_557_611_200),
}
SMALL = GPTConfig(n_layer=2, n_head=2, n_embd=8, vocab_size=13, context_length=6)


@pytest.mark.parametrize("size", RELEASED)
def test_the_gpt2_releases_have_their_published_parameter_counts(size: str) -> None:
    n_layer, n_head, n_embd, expected = RELEASED[size]
    config = GPTConfig(n_layer=n_layer, n_head=n_head, n_embd=n_embd, vocab_size=50_257)
    with torch.device("meta"):
        model = GPT(config)
    assert count_parameters(config) == expected
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@given(
    n_layer=st.integers(1, 3),
    n_head=st.integers(1, 3),
    head_width=st.integers(1, 5),
    vocab_size=st.integers(1, 20),
    context_length=st.integers(1, 9),
    bias=st.booleans(),
    tied_head=st.booleans(),
)
def test_parameters_are_counted_without_building_the_model(
    head_width: int, n_head: int, **shape: int
) -> None:
    config = GPTConfig(n_head=n_head, n_embd=n_head * head_width, **shape)
    with torch.device("meta"):
        model = GPT(config)
    n_positions = model.wpe.weight.numel()
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    assert count_parameters(config) == n_parameters
    assert count_parameters(config, include_positions=False) == n_parameters - n_positions


def test_flops_per_token_of_gpt2_match_the_published_number() -> None:
    config = GPTConfig(vocab_size=50_304)  # the padded vocabulary of the published number
    assert flops_per_token(config) / 1e6 == pytest.approx(855.4, abs=0.1)


def test_a_seed_determines_the_weights_and_leaves_the_global_generator_untouched() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = (build_model(SMALL, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["wte.weight"], other["wte.weight"])


def test_without_a_seed_the_weights_come_from_the_global_generator() -> None:
    torch.manual_seed(5)
    one = build_model(SMALL)
    two = build_model(SMALL)
    torch.manual_seed(5)
    again = build_model(SMALL)
    assert torch.equal(one.wte.weight, again.wte.weight)
    assert not torch.equal(one.wte.weight, two.wte.weight)


def test_an_allocated_model_is_on_the_cpu_and_tied() -> None:
    model = allocate_model(SMALL)
    assert model.lm_head.weight is model.wte.weight
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_counting_parameters_without_a_vocabulary_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="vocab_size must be known"):
        count_parameters(GPTConfig())


def test_building_a_model_does_not_import_torchs_compiler() -> None:
    script = (
        "import sys; from gpt_core.config import GPTConfig; "
        "from gpt_core.models import build_model; "
        "build_model(GPTConfig(n_layer=1, n_head=1, n_embd=8, vocab_size=9), seed=0); "
        "print('sympy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
