import torch

from gpt_core.config import DecodingConfig
from gpt_core.generation import build_sampler, greedy, sample_token

CPU = torch.device("cpu")


def test_greedy_breaks_ties_by_the_smallest_id() -> None:
    assert greedy(torch.tensor([[1.0, 5.0, 5.0, 5.0], [2.0, 2.0, 2.0, 2.0]])).tolist() == [1, 0]


def test_sampled_frequencies_match_the_probabilities() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.2, 0.3])
    n = 4000
    uniforms = torch.rand(n, generator=torch.Generator().manual_seed(0))
    sampled = sample_token(probabilities.log().expand(n, 4), uniforms)
    frequency = torch.bincount(sampled, minlength=4) / n
    torch.testing.assert_close(frequency, probabilities, atol=0.03, rtol=0)
    assert frequency[1] == 0


def test_an_excluded_token_is_never_sampled() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(3, 5)
    almost_one = 1 - 2**-24  # the largest number that torch.rand gives
    assert sample_token(logits, torch.tensor([0.0, 0.5, almost_one])).tolist() == [1, 3, 3]


def test_the_last_token_of_a_large_vocabulary_can_be_sampled() -> None:
    V = 50_257
    uniforms = torch.tensor([0.0, 1 - 2**-24])
    assert sample_token(torch.zeros(2, V), uniforms).tolist() == [0, V - 1]


def test_temperature_0_is_greedy_and_the_filters_apply_in_order() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    late = torch.tensor([0.999])
    assert build_sampler(DecodingConfig(temperature=0))(logits, late).item() == 0
    assert build_sampler(DecodingConfig(temperature=1))(logits, late).item() == 3
    assert build_sampler(DecodingConfig(temperature=1, top_k=2))(logits, late).item() == 1
    assert build_sampler(DecodingConfig(temperature=1, top_p=0.8))(logits, late).item() == 2
    narrowed = DecodingConfig(temperature=1, top_k=3, top_p=0.5)  # 4/9 + 3/9 of three reach p
    assert build_sampler(narrowed)(logits, late).item() == 1
    assert build_sampler(DecodingConfig(temperature=0.01))(logits, late).item() == 0
