"""Prompt templates put the instruction and its input where the model expects them."""

from gpt_core.data import ALPACA


def test_the_wording_without_an_input_does_not_mention_one() -> None:
    assert "### Input:" in ALPACA.format("Do it.", "x")
    assert "### Input:" not in ALPACA.format("Do it.", "  ")
