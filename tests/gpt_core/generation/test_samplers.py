import torch

from gpt_core.config import DecodingConfig
from gpt_core.generation import Dice, build_sampler, draw, greedy

CPU = torch.device("cpu")


def test_greedy_takes_the_smallest_id_among_equals() -> None:
    assert greedy(torch.tensor([[1.0, 5.0, 5.0, 5.0], [2.0, 2.0, 2.0, 2.0]])).tolist() == [1, 0]


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.2, 0.3])
    n = 4000
    throws = torch.rand(n, generator=torch.Generator().manual_seed(0))
    drawn = draw(probabilities.log().expand(n, 4), throws)
    share = torch.bincount(drawn, minlength=4) / n
    torch.testing.assert_close(share, probabilities, atol=0.03, rtol=0)
    assert share[1] == 0


def test_an_excluded_token_is_never_drawn_not_even_at_the_edges() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(3, 5)
    almost_one = 1 - 2**-24  # the largest number that torch.rand gives
    assert draw(logits, torch.tensor([0.0, 0.5, almost_one])).tolist() == [1, 3, 3]


def test_the_tail_of_a_large_vocabulary_can_be_drawn() -> None:
    V = 50_257
    throws = torch.tensor([0.0, 1 - 2**-24])
    assert draw(torch.zeros(2, V), throws).tolist() == [0, V - 1]


def test_temperature_0_is_greedy_and_the_others_reshape_in_order() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    late = torch.tensor([0.999])
    assert build_sampler(DecodingConfig(temperature=0))(logits, late).item() == 0
    assert build_sampler(DecodingConfig(temperature=1))(logits, late).item() == 3
    assert build_sampler(DecodingConfig(temperature=1, top_k=2))(logits, late).item() == 1
    assert build_sampler(DecodingConfig(temperature=1, top_p=0.8))(logits, late).item() == 2
    narrowed = DecodingConfig(temperature=1, top_k=3, top_p=0.5)  # 4/9 + 3/9 of three reach p
    assert build_sampler(narrowed)(logits, late).item() == 1
    assert build_sampler(DecodingConfig(temperature=0.01))(logits, late).item() == 0


def test_each_row_has_its_own_numbers() -> None:
    together = Dice([3, 4], n_throws=5)
    alone = Dice([4], n_throws=5)
    for number in range(-5, 0):
        pair = together.throw([0, 1], [number, number], CPU)
        assert pair[0] != pair[1]
        assert pair[1] == alone.throw([0], [number], CPU)[0]


def test_a_throw_that_is_not_needed_is_zero() -> None:
    assert Dice([3], n_throws=2).throw([0, 0], [-3, 0], CPU).tolist() == [0.0, 0.0]
