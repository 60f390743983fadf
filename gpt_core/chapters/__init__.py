"""The chapters of the anatomy: from a checkpoint and a sentence to numbers that can be drawn.

Each ``show_...`` is a pure function of a ``Subject``, a model that has read a sentence, and returns
JSON values. What they mean is computed in ``gpt_core.anatomy``.
"""

from gpt_core.chapters.dissection import PAGE, dissect, show_all
from gpt_core.chapters.layers import (
    pack_weights,
    show_attention,
    show_embeddings,
    show_neurons,
    show_norms,
)
from gpt_core.chapters.predictions import show_decoding, show_lens, show_stream
from gpt_core.chapters.sentence import Sentence, read_sentence, token_name, visible
from gpt_core.chapters.subject import Subject, open_subject
from gpt_core.chapters.text_stages import show_cleaning, show_tokens, show_windows
from gpt_core.chapters.weights import (
    show_classification,
    show_instruction,
    show_low_rank,
    show_names,
    show_skeleton,
    show_training,
)

__all__ = [
    "PAGE",
    "Sentence",
    "Subject",
    "dissect",
    "open_subject",
    "pack_weights",
    "read_sentence",
    "show_all",
    "show_attention",
    "show_classification",
    "show_cleaning",
    "show_decoding",
    "show_embeddings",
    "show_instruction",
    "show_lens",
    "show_low_rank",
    "show_names",
    "show_neurons",
    "show_norms",
    "show_skeleton",
    "show_stream",
    "show_tokens",
    "show_training",
    "show_windows",
    "token_name",
    "visible",
]
