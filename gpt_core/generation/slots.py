"""The slots of an engine: which of them holds what beginning of a prompt.

A prompt that begins as an earlier one takes over its keys and values: whole chunks only, which have
the same bits as if they were computed again.
"""

from collections.abc import Collection, Mapping

from gpt_core.generation.requests import Request
from gpt_core.models import SlotCache


class Slots:
    """Gives slots to requests.

    Args:
        cache: The keys and values.
        chunk: Tokens of a prompt that are computed at once.
    """

    def __init__(self, cache: SlotCache, chunk: int) -> None:
        self._cache, self._chunk = cache, chunk
        self._held: list[tuple[int, ...]] = [()] * cache.n_slots
        self.n_reused = 0
        """Tokens of prompts that a slot held already."""

    def take(self, request: Request, occupied: Collection[int]) -> tuple[int, int]:
        """Choose a free slot; return it with the number of the prompt's tokens that it holds.

        Args:
            request: Of whose prompt a slot may hold the beginning.
            occupied: The slots that have requests; at least one has none.
        """
        slots = range(self._cache.n_slots)
        free = [slot for slot in slots if slot not in occupied]
        shared = [self._count_shared(request, slot) for slot in slots]
        best = max(slots, key=lambda slot: (shared[slot], slot in free))
        n_shared, slot = shared[best], min(free, key=lambda each: (len(self._held[each]), each))
        if n_shared and best in free:
            slot = best
        elif n_shared:
            self._cache.copy(best, slot, n_shared)
        self._held[slot] = request.prompt[:n_shared]
        self.n_reused += n_shared
        return slot, n_shared

    def _count_shared(self, request: Request, slot: int) -> int:
        """Tokens that a prompt shares with a slot, in whole chunks and without its last token."""
        if request.score_prompt:
            return 0
        held = self._held[slot]
        longest = min(len(held), len(request.prompt) - 1)
        same = next((i for i in range(longest) if held[i] != request.prompt[i]), longest)
        return same // self._chunk * self._chunk

    def hold(self, slot: int, prompt: tuple[int, ...], n_cached: int) -> None:
        """Remember that a slot holds so many tokens of a prompt."""
        self._held[slot] = prompt[: n_cached // self._chunk * self._chunk]

    def reset(self, slot: int) -> None:
        """Reuse nothing of a slot."""
        self._held[slot] = ()

    def swap(self, one: int, other: int, lengths: Mapping[int, int]) -> None:
        """Exchange the content of two slots.

        Args:
            one: A slot.
            other: Another one.
            lengths: Tokens of the slots that have requests.
        """
        n_tokens = max(lengths.get(slot, len(self._held[slot])) for slot in (one, other))
        self._cache.swap(one, other, n_tokens)
        self._held[one], self._held[other] = self._held[other], self._held[one]

    def clear(self, slot: int) -> None:
        """Empty a slot that numbers which are not finite have reached."""
        self._cache.clear(slot)
        self.reset(slot)

    def spare_place(self, slot: int) -> int:
        """A place of a slot without a request whose content nobody reads."""
        if len(self._held[slot]) == self._cache.capacity:
            self.reset(slot)
        return len(self._held[slot])
