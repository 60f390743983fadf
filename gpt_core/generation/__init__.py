"""Generation: reshape the logits, sample a token, repeat; ids first, text on top."""

from gpt_core.generation.beams import Beam, beam_search
from gpt_core.generation.decoding import generate, stream, to_request
from gpt_core.generation.engine import Engine, run
from gpt_core.generation.logits import apply_temperature, keep_top_k, keep_top_p
from gpt_core.generation.requests import Choice, Finish, Request, Update
from gpt_core.generation.samplers import build_sampler, greedy, sample_token
from gpt_core.generation.text import continue_text, stream_text, template_of

__all__ = [
    "Beam",
    "Choice",
    "Engine",
    "Finish",
    "Request",
    "Update",
    "apply_temperature",
    "beam_search",
    "build_sampler",
    "continue_text",
    "generate",
    "greedy",
    "keep_top_k",
    "keep_top_p",
    "run",
    "sample_token",
    "stream",
    "stream_text",
    "template_of",
    "to_request",
]
