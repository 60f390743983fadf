"""The chapters on what the model says: the stream, the lens, decoding.

Shapes: T time, V vocabulary.
"""

import torch

from gpt_core.anatomy import logit_contributions, logit_lens
from gpt_core.chapters.subject import Subject, numbers
from gpt_core.chapters.text_stages import Values
from gpt_core.config import DecodingConfig
from gpt_core.generation import beam_search, stream

_LENS = 5
_MAX_LOGITS = 1000  # that are sent one by one; the others in bins
_BINS = 200
_SEEDS = 3
_WIDTH = 4


def show_stream(subject: Subject) -> Values:
    """How much each part writes into the stream, and how the logit of the answer adds up."""
    recording = subject.recording
    values: Values = {
        "names": list(subject.sentence.names),
        "stream": numbers(torch.stack([stream.norm(dim=-1) for stream in recording.streams]), 4),
        "attention": numbers(
            torch.stack([block.attention_update.norm(dim=-1) for block in recording.blocks]), 4
        ),
        "feed_forward": numbers(
            torch.stack([block.feed_forward_update.norm(dim=-1) for block in recording.blocks]), 4
        ),
        "parts": None,
        "answers": None,
    }
    if subject.speaks:
        answers = recording.logits.argmax(dim=-1).tolist()
        values["parts"] = _parts(subject)
        values["answers"] = [
            _contributions(subject, position, token_id) for position, token_id in enumerate(answers)
        ]
    return values


def _contributions(subject: Subject, position: int, token_id: int) -> Values:
    found = logit_contributions(subject.model, subject.recording, position, token_id)
    return {
        "id": token_id,
        "name": subject.names([token_id])[0],
        "logit": round(float(subject.recording.logits[position, token_id]), 6),
        "summands": numbers([each.logit for each in found]),
    }


def _parts(subject: Subject) -> list[list[object]]:
    """Part, block and head of each summand of a logit, the same for every position."""
    found = logit_contributions(subject.model, subject.recording, 0, 0)
    return [[each.part, each.block, each.head] for each in found]


def show_lens(subject: Subject) -> Values:
    """The most likely next tokens after every block, for every position."""
    lens = logit_lens(subject.model, subject.recording, _LENS)
    used = sorted({i for row in lens for prediction in row for i in prediction.token_ids})
    return {
        "names": list(subject.sentence.names),
        "ids": list(subject.sentence.token_ids),
        "vocabulary": dict(zip(map(str, used), subject.names(used), strict=True)),
        "lens": [
            [[list(prediction.token_ids), numbers(prediction.probabilities)] for prediction in row]
            for row in lens
        ],
    }


def show_decoding(subject: Subject, new_tokens: int) -> Values:
    """The logits of the next token, and three ways to continue."""
    logits = subject.recording.logits[-1].float()
    n = min(_MAX_LOGITS, logits.numel())
    top = logits.topk(n)
    rest = logits.topk(logits.numel() - n, largest=False).values
    return {
        "prompt": subject.sentence.cleaned,
        "names": subject.names(top.indices.tolist()),
        "logits": numbers(top.values),
        "rest": _bins(rest),
        **_continuations(subject, new_tokens),
    }


def _bins(logits: torch.Tensor) -> list[list[float]]:
    """The less likely logits, as the centres of bins with their counts."""
    if not len(logits):
        return []
    low, high = float(logits.min()), float(logits.max())
    counts = torch.histc(logits, bins=_BINS, min=low, max=high)
    step = (high - low) / _BINS
    return [
        [round(low + (i + 0.5) * step, 4), int(count)]
        for i, count in enumerate(counts.tolist())
        if count
    ]


def _continuations(subject: Subject, new_tokens: int) -> Values:
    model, ids, eos = subject.model, subject.sentence.token_ids, subject.tokenizer.eos_id

    def said(temperature: float, seed: int) -> str:
        decoding = DecodingConfig(max_new_tokens=new_tokens, temperature=temperature, seed=seed)
        return subject.tokenizer.decode(stream(model, ids, decoding, eos))

    beams = beam_search(model, ids, _WIDTH, new_tokens, eos)
    return {
        "greedy": said(0.0, 0),
        "sampled": [said(1.0, seed) for seed in range(_SEEDS)],
        "beams": [
            [subject.tokenizer.decode(beam.token_ids), round(beam.log_probability, 4)]
            for beam in beams
        ],
    }
