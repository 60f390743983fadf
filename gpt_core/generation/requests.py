"""Requests to a decoding engine, and the updates by which it answers. Ids only, no text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Finish = Literal["stop", "length"]
"""Why a request ended: a stop id was sampled, or the tokens or the context are used up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One prompt and how it is continued."""

    prompt: tuple[int, ...]
    """Ids, at least one, at most ``context_length``."""

    max_new_tokens: int
    """At least 1, or 0 to score the prompt alone (with ``score_prompt``)."""

    temperature: float = 0.8
    """Divisor of the logits; 0 is greedy decoding."""

    top_k: int | None = None
    """Sample from the k most likely tokens; None from all."""

    top_p: float | None = None
    """Sample from the smallest set of tokens whose probability reaches p, in (0, 1]; None from
    all."""

    repetition_penalty: float = 1.0
    """Divides the positive logits of the tokens that prompt and continuation hold, and multiplies
    the negative ones (Keskar et al. 2019, "CTRL", section 4.1); 1 changes nothing."""

    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of some ids before sampling."""

    seed: int = 1337
    """Seed of its own uniform numbers, so that neighbours do not change what is sampled."""

    stop_ids: frozenset[int] = frozenset()
    """Ids that end the request; they are not part of the answer."""

    lookup: int = 0
    """In greedy decoding, guess up to so many tokens from what followed the same words before, and
    check them in one pass; 0 guesses none. Used while the request is the only one that runs."""

    logprobs: int | None = None
    """Report log-probabilities, and those of so many of the most likely tokens; None reports
    none."""

    score_prompt: bool = False
    """Report the log-probability of each token of the prompt too (``Update.prompt``)."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A token and its probability by the model.

    That is the log-softmax of the logits, in float32, before temperature, penalty and bias.
    """

    token_id: int
    logprob: float | None = None
    """Natural logarithm; None if it was not asked for, and for the first token of a prompt."""

    top: tuple[tuple[int, float], ...] = ()
    """The most likely ids with their logarithms, best first."""


@dataclass(frozen=True, slots=True)
class Update:
    """Everything that one step of the engine brought to one request."""

    request_id: int
    tokens: tuple[Choice, ...] = ()
    """New tokens, mostly one."""

    prompt: tuple[Choice, ...] | None = None
    """The scored prompt, once, if ``score_prompt`` was set."""

    finish: Finish | None = None
    """Set in a request's last update; its slot is free then."""
