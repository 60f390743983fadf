"""Decoding: reshape the logits, choose a token, go on."""

from gpt_core.generation.decoding import generate, stream
from gpt_core.generation.logits import apply_temperature, keep_top_k, keep_top_p
from gpt_core.generation.samplers import Dice, build_sampler, draw, greedy
from gpt_core.generation.text import continue_text, stream_text

__all__ = [
    "Dice",
    "apply_temperature",
    "build_sampler",
    "continue_text",
    "draw",
    "generate",
    "greedy",
    "keep_top_k",
    "keep_top_p",
    "stream",
    "stream_text",
]
