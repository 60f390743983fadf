"""Prompt templates format instructions with and without input."""

from pathlib import Path

import pytest

from gpt_core.data import ALPACA, TEMPLATES, find_template
from gpt_core.errors import CheckpointError


def test_the_prompt_without_an_input_has_no_input_heading() -> None:
    assert "### Input:" in ALPACA.format("Do it.", "x")
    assert "### Input:" not in ALPACA.format("Do it.", "  ")


def test_an_unknown_template_of_a_checkpoint_is_named() -> None:
    file = Path("config.json")
    assert find_template(None, file) is None
    assert find_template("short", file) is TEMPLATES["short"]
    with pytest.raises(CheckpointError, match=r"config.json: template must be one of alpaca, sho"):
        find_template("polite", file)
