"""Decoding engine with continuous batching: each request has a slot of a static KV cache.

Requests join and leave between steps. A step decodes one token for every running request and
computes a bounded part of the new prompts, so that a long one does not stall the others. The
running requests always occupy the first slots: when one leaves, the last takes its place.

Each request has its own sampling settings and random numbers, so its tokens do not depend on its
neighbours. The engine knows ids, not text, and has no threads.

Shapes: B running requests, T time, V vocabulary.

References:
    Yu et al. 2022, "Orca: A Distributed Serving System for Transformer-Based Generative Models",
    section 3 (iteration-level scheduling).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from gpt_core.generation.active import ActiveRequest, check_request
from gpt_core.generation.requests import Choice, Finish, Request, Update
from gpt_core.generation.sampling import choices, sample_rows
from gpt_core.generation.slots import Slots
from gpt_core.models import (
    GPT,
    Decoder,
    LinearKind,
    SlotCache,
    SlotStep,
    StepKind,
    build_step_graphs,
)


class Engine:
    """Decodes requests in slots.

    Args:
        model: The language model, in evaluation mode.
        n_slots: How many requests run at once.
        prefill_chunk: Tokens of a prompt that are computed at once.
        prefill_budget: Tokens of prompts that one step computes at most, so that the running
            requests do not stall; None takes one chunk.
        capacity: Tokens of a request, prompt and continuation, at most; None takes the model's
            context length.
        linears: The linear layers: ``auto`` tries in a fraction of a second whether packed
            weights are faster here; ``int8`` is faster for few requests and slightly less
            accurate, and so is ``bf16`` on a GPU. Where weights are packed, the logits of a
            request have the same bits alone and among any neighbours; else the tokens are the
            same.
        keep_weights: Leave the model's weights as they are; else those that are packed or in int8
            are dropped from it, so that they are in memory once.
        steps: How a token of every row is decoded, see ``StepGraphs``: ``auto`` records on a GPU.

    Raises:
        ValueError: If there is no slot, or chunks are empty.
        ConfigError: If the linear layers, or recorded steps, cannot be used here.
    """

    def __init__(
        self,
        model: GPT,
        *,
        n_slots: int = 8,
        prefill_chunk: int = 128,
        prefill_budget: int | None = None,
        capacity: int | None = None,
        linears: LinearKind = "auto",
        keep_weights: bool = True,
        steps: StepKind = "auto",
    ) -> None:
        if n_slots < 1 or prefill_chunk < 1:
            raise ValueError(f"{n_slots} slots and chunks of {prefill_chunk} must be at least 1")
        self.model, self.n_slots, self.prefill_chunk = model, n_slots, prefill_chunk
        self.prefill_budget = max(prefill_budget or 0, prefill_chunk)
        self.decoder = Decoder(model, linears, n_slots, keep_weights=keep_weights)
        self._device = model.wte.weight.device
        dtype = self.decoder.dtype
        self._cache = SlotCache(model.config, n_slots, self._device, dtype, capacity)
        self._slots = Slots(self._cache, prefill_chunk)
        self._graphs = build_step_graphs(self.decoder, self._cache, steps)
        self._running: list[ActiveRequest] = []  # in the slots 0, 1, ...
        self._waiting: deque[ActiveRequest] = deque()  # their prompts are not computed yet
        self._next_id = 0

    @property
    def n_active(self) -> int:
        """Requests that have a slot."""
        return len(self._running) + len(self._waiting)

    @property
    def n_free(self) -> int:
        """Slots without a request."""
        return self.n_slots - self.n_active

    @property
    def n_reused(self) -> int:
        """Tokens of prompts that did not have to be computed, since a slot held them already."""
        return self._slots.n_reused

    @torch.inference_mode()
    def prepare(self) -> None:
        """Record all steps now rather than when one occurs first; before the first request."""
        if self._graphs is not None:
            self._graphs.prepare()

    def add(self, request: Request, *, slides: bool = False) -> int:
        """Give a request a slot.

        Args:
            request: The request.
            slides: When the context is full, continue from its newer half; else the request ends
                with ``finish="length"``.

        Returns:
            Its id, which its updates carry.

        Raises:
            DataError: If the prompt is empty, too long or outside the vocabulary, or a value is
                out of range.
            RuntimeError: If no slot is free.
        """
        check_request(request, self.model.config, self._cache.capacity)
        if self.n_free == 0:
            raise RuntimeError(f"all {self.n_slots} slots are occupied")
        n_places = self._cache.capacity - len(request.prompt) + 1  # the last token is not fed
        n_draws = request.max_new_tokens if slides else min(request.max_new_tokens, n_places)
        slot, n_reused = self._slots.take(request, self._lengths())
        active = ActiveRequest(self._next_id, request, slot, n_draws, slides=slides)
        active.n_cached = n_reused
        self._waiting.append(active)
        self._next_id += 1
        return active.request_id

    def _lengths(self) -> dict[int, int]:
        """Tokens in the slots that have requests."""
        return {active.slot: active.n_cached for active in (*self._running, *self._waiting)}

    def cancel(self, request_id: int) -> None:
        """Free a request's slot at once; no update follows. An unknown id is ignored."""
        for active in (*self._running, *self._waiting):
            if active.request_id == request_id:
                self._release(active)

    @torch.inference_mode()
    def step(self) -> list[Update]:
        """Decode a token of each running request, and compute a bounded part of new prompts.

        Returns:
            What it brought: an update for each request that got a token, a score or an end.
        """
        updates: list[Update] = []
        if self._running:
            updates += self._decode(self._running.copy())
        budget = self.prefill_budget
        while self._waiting and self._next_chunk(self._waiting[0]) <= budget:
            budget -= self._next_chunk(self._waiting[0])
            updates += self._prefill(self._waiting[0])
        return updates

    def _next_chunk(self, active: ActiveRequest) -> int:
        """Tokens of the next chunk of a prompt, which do not depend on other requests."""
        return min(self.prefill_chunk, len(active.token_ids) - active.n_cached)

    def _decode(self, rows: Sequence[ActiveRequest]) -> list[Update]:
        draft = rows[0].draft(self._cache.capacity) if len(rows) == 1 else []
        if draft:
            return self._check_draft(rows[0], draft)
        if self._graphs is not None:
            logits = self._graphs.next_logits(self._padded(rows), len(rows))
        else:
            newest = torch.tensor([[active.token_ids[-1]] for active in rows], device=self._device)
            step = SlotStep(self._cache, 0, [active.n_cached for active in rows])
            logits = self.decoder.next_logits(newest, step)
        for active in rows:
            active.n_cached += 1
        return self._sample(logits, rows)

    def _padded(self, rows: Sequence[ActiveRequest]) -> list[tuple[int, int]]:
        """Newest id and number of tokens of each row, and of slots that only fill up the step."""
        assert self._graphs is not None
        given = [(active.token_ids[-1], active.n_cached) for active in rows]
        waiting = {active.slot: active.n_cached for active in self._waiting}
        for slot in range(len(rows), self._graphs.count_rows(len(rows))):
            place = waiting[slot] if slot in waiting else self._slots.spare_place(slot)
            given.append((0, place))
        return given

    def _check_draft(self, active: ActiveRequest, draft: list[int]) -> list[Update]:
        """Decode the tokens of a draft that are right, and the one after them, in one pass."""
        start, guesses = active.n_cached, [*draft, None]
        new = torch.tensor([[active.token_ids[-1], *draft]], device=self._device)
        logits = self.decoder.logits(new, SlotStep(self._cache, 0, [start], len(guesses)))[0]
        updates: list[Update] = []
        for guess, row in zip(guesses, logits, strict=True):
            active.n_cached += 1
            updates += self._sample(row[None], [active])
            ended = updates[-1].finish is not None or active.n_cached <= start
            if ended or active.token_ids[-1] != guess:
                break
        active.lookup.judge(len(active.token_ids), len(draft), len(updates) - 1)
        return updates

    def _prefill(self, active: ActiveRequest) -> list[Update]:
        start = active.n_cached
        new = active.token_ids[start : start + self._next_chunk(active)]
        step = SlotStep(self._cache, active.slot, [start], len(new))
        token_ids = torch.tensor([new], device=self._device)
        if active.request.score_prompt and active.n_new == 0:
            logits = self.decoder.logits(token_ids, step)[0]
            self._score(active, logits)
        else:
            logits = self.decoder.next_logits(token_ids, step)
        active.n_cached += len(new)
        active.is_finite &= bool(logits.sum().isfinite())
        if active.is_finite and active.n_new == 0:
            self._slots.hold(active.slot, active.request.prompt, active.n_cached)
        if active.n_cached < len(active.token_ids):
            return []
        if active.request.max_new_tokens == 0:
            self._release(active)
            return [Update(active.request_id, prompt=tuple(active.scored), finish="length")]
        self._start(active)
        return self._sample(logits[-1:], [active])

    def _score(self, active: ActiveRequest, logits: Tensor) -> None:
        """Score the prompt's tokens that a chunk's logits (T, V) predict."""
        request = active.request
        if not active.scored:
            active.scored.append(Choice(request.prompt[0]))
        first = active.n_cached + 1
        predicted = request.prompt[first : first + len(logits)]
        active.scored += choices(logits[: len(predicted)], predicted, request.logprobs or 0)

    def _start(self, active: ActiveRequest) -> None:
        """Move a request whose prompt is computed to the running ones."""
        slot = len(self._running)
        other = next((each for each in self._waiting if each.slot == slot), None)
        if active.slot != slot:
            self._slots.swap(active.slot, slot, self._lengths())
            if other is not None:
                other.slot = active.slot
            active.slot = slot
        self._waiting.remove(active)
        self._running.append(active)

    def _release(self, active: ActiveRequest) -> None:
        """Free a request's slot."""
        if not active.is_finite:
            self._slots.clear(active.slot)
        if active in self._waiting:
            self._waiting.remove(active)
            return
        last = self._running[-1]
        if last is not active:
            self._slots.swap(last.slot, active.slot, self._lengths())
            self._running[active.slot] = last
            last.slot, active.slot = active.slot, last.slot
        self._running.pop()

    def _sample(self, logits: Tensor, rows: Sequence[ActiveRequest]) -> list[Update]:
        """Sample a token for each row from its logits (B, V)."""
        are_finite = logits.sum(dim=-1).isfinite()
        token_ids = sample_rows(logits, rows)  # waits for the device
        finite = are_finite.tolist()
        chosen = _describe(logits, token_ids, rows)
        updates = []
        for active, choice, is_finite in zip(rows, chosen, finite, strict=True):
            active.is_finite &= is_finite
            scored = tuple(active.scored) if active.request.score_prompt else None
            prompt = scored if active.n_new == 0 else None
            stops = choice.token_id in active.request.stop_ids
            finish = self._advance(active, choice.token_id)
            tokens = () if stops else (choice,)
            updates.append(Update(active.request_id, tokens, prompt, finish))
        return updates

    def _advance(self, active: ActiveRequest, token_id: int) -> Finish | None:
        """Add a token to its request, or end it; returns why it ended."""
        finish: Finish | None = None
        if token_id in active.request.stop_ids:
            finish = "stop"
        else:
            active.append(token_id)
            is_full = active.n_cached == self._cache.capacity
            if active.n_new == active.request.max_new_tokens or (is_full and not active.slides):
                finish = "length"
            elif is_full:
                self._restart(active)
        if finish is not None:
            self._release(active)
        return finish

    def _restart(self, active: ActiveRequest) -> None:
        """Compute the newer half of a full context again, in a slot behind the running ones."""
        self._release(active)
        self._slots.reset(active.slot)
        active.slide(self._cache.capacity)
        self._waiting.appendleft(active)


def _describe(
    logits: Tensor, token_ids: Sequence[int], rows: Sequence[ActiveRequest]
) -> list[Choice]:
    """The sampled tokens, with log-probabilities where they were asked for."""
    described = [Choice(token_id) for token_id in token_ids]
    asking = [row for row, active in enumerate(rows) if active.request.logprobs is not None]
    if not asking:
        return described
    n_top = max(rows[row].request.logprobs or 0 for row in asking)
    chosen = choices(logits[asking], [token_ids[row] for row in asking], n_top)
    for row, choice in zip(asking, chosen, strict=True):
        best = choice.top[: rows[row].request.logprobs]
        described[row] = Choice(choice.token_id, choice.logprob, best)
    return described


def run(
    engine: Engine, requests: Iterable[Request], *, slides: bool = False
) -> Iterator[tuple[int, Update]]:
    """Decode requests, admitting each as soon as a slot is free.

    Args:
        engine: The engine; its other requests continue, and their updates are left out.
        requests: Taken one by one, when there is a slot for them.
        slides: As in ``Engine.add``.

    Yields:
        A request's index among ``requests`` and an update of it.

    Raises:
        DataError: As ``Engine.add``.
    """
    remaining = enumerate(requests)
    indices: dict[int, int] = {}
    exhausted = False
    try:
        while indices or not exhausted:
            while engine.n_free and not exhausted:
                index, request = next(remaining, (-1, None))
                if request is None:
                    exhausted = True
                else:
                    indices[engine.add(request, slides=slides)] = index
            for update in engine.step():
                if update.request_id in indices:
                    yield indices[update.request_id], update
                    if update.finish is not None:
                        del indices[update.request_id]
    finally:
        for request_id in indices:
            engine.cancel(request_id)
