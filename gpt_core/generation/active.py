"""The state of a request in the engine, and the checks of a request before it gets a slot."""

import math
from collections.abc import Sequence

import torch

from gpt_core.config import GPTConfig
from gpt_core.errors import DataError
from gpt_core.generation.lookup import Lookup
from gpt_core.generation.requests import Choice, Request

_MAX_SEED = (1 << 63) - 1


class ActiveRequest:
    """A request in a slot: its tokens, how many of them the cache holds, and its random numbers.

    Args:
        request_id: The engine's number of it.
        request: The request.
        slot: The slot that it occupies.
        n_draws: How many tokens are sampled at most.
        slides: When the context is full, continue from its newer half.
    """

    def __init__(
        self, request_id: int, request: Request, slot: int, n_draws: int, *, slides: bool
    ) -> None:
        self.request_id, self.request, self.slot, self.slides = request_id, request, slot, slides
        self.token_ids = list(request.prompt)
        """The tokens that the model is fed: prompt and continuation; after sliding, their end."""

        self.n_cached = 0
        """How many of them the slot holds."""

        self.n_new = 0
        """Tokens sampled so far."""

        self.scored: list[Choice] = []
        """The scores of the prompt so far."""

        self.is_finite = True
        """Whether all its logits so far are finite."""

        self.lookup = Lookup()
        """The repetitions in its tokens."""

        generator = torch.Generator().manual_seed(request.seed)
        self._uniforms: list[float] = torch.rand(n_draws, generator=generator).tolist()
        self._seen = set(request.prompt)

    @property
    def uniform(self) -> float:
        """The uniform number of the next draw."""
        return self._uniforms[self.n_new]

    @property
    def seen(self) -> set[int]:
        """The ids that prompt and continuation hold."""
        return self._seen

    def draft(self, capacity: int) -> list[int]:
        """Tokens to check in the next pass: only greedy decoding can, and only while they fit."""
        request = self.request
        if not request.lookup or request.temperature or request.repetition_penalty != 1:
            return []
        longest = min(capacity - self.n_cached, request.max_new_tokens - self.n_new) - 1
        n_tokens = min(request.lookup, longest)
        return self.lookup.draft(self.token_ids, n_tokens) if n_tokens > 0 else []

    def append(self, token_id: int) -> None:
        """Add a sampled token."""
        self.token_ids.append(token_id)
        self._seen.add(token_id)
        self.n_new += 1

    def slide(self, context_length: int) -> None:
        """Begin again with the newer half of a full context, which must be computed again."""
        self.token_ids = self.token_ids[-max(1, context_length // 2) :]
        self.n_cached, self.lookup = 0, Lookup()


def check_request(request: Request, config: GPTConfig, capacity: int) -> None:
    """Check a request against a model.

    Args:
        request: The request.
        config: The model's shape.
        capacity: Tokens of a prompt at most.

    Raises:
        DataError: Naming the first value that cannot be used.
    """
    check_prompt(request.prompt, config)
    if len(request.prompt) > capacity:
        raise DataError(
            f"the prompt has {len(request.prompt)} tokens, which exceed the context of "
            f"{capacity}: shorten it"
        )
    least = 0 if request.score_prompt else 1
    bias = request.logit_bias
    checks = (
        (request.max_new_tokens >= least, f"max_new_tokens must be at least {least}"),
        (0 <= request.temperature < math.inf, "temperature must be a number of at least 0"),
        (request.top_k is None or request.top_k >= 1, "top_k must be at least 1"),
        (request.top_p is None or 0 < request.top_p <= 1, "top_p must be in (0, 1]"),
        (0 < request.repetition_penalty < math.inf, "repetition_penalty must be above 0"),
        (0 <= request.seed <= _MAX_SEED, f"seed must be in [0, {_MAX_SEED}]"),
        (request.lookup >= 0, "lookup must be at least 0"),
        (request.logprobs is None or request.logprobs >= 0, "logprobs must be at least 0"),
        (all(map(math.isfinite, bias.values())), "the values of logit_bias must be finite"),
        (
            all(0 <= token_id < (config.vocab_size or 0) for token_id in bias),
            f"the ids of logit_bias must be in the vocabulary of {config.vocab_size}",
        ),
    )
    for holds, sentence in checks:
        if not holds:
            raise DataError(f"{sentence}, got {_given(request, sentence)}")


def _given(request: Request, sentence: str) -> object:
    """The value that a sentence about a field is about."""
    words = sentence.split()
    return getattr(request, next(word for word in words if hasattr(request, word)))


def check_prompt(prompt: Sequence[int], config: GPTConfig) -> None:
    """Check the ids of a prompt.

    Raises:
        DataError: If there are none, or one is outside the vocabulary.
    """
    if not prompt:
        raise DataError("the prompt is empty: give at least one token to continue")
    outside = [i for i in prompt if not 0 <= i < (config.vocab_size or 0)]
    if outside:
        raise DataError(
            f"token id {outside[0]} of the prompt is outside the model's vocabulary of "
            f"{config.vocab_size}: encode it with the model's own tokenizer"
        )
