"""Prompt templates format instructions with and without input."""

from gpt_core.data import ALPACA


def test_the_prompt_without_an_input_has_no_input_heading() -> None:
    assert "### Input:" in ALPACA.format("Do it.", "x")
    assert "### Input:" not in ALPACA.format("Do it.", "  ")
