"""Look-up decoding: guess the next tokens from what followed the same words before.

Text repeats itself: names, phrases, code, quotations. The tokens that followed the last occurrence
of the newest n-gram are a draft, and one pass of the model over the draft says how much of it is
what greedy decoding would have chosen. A right guess saves a pass; a wrong one costs the longer
pass, so that after one no draft is made for a while.

References:
    Saxena 2023, "Prompt Lookup Decoding"; Leviathan et al. 2023, "Fast Inference from Transformers
    via Speculative Decoding", section 2 (the check of a draft).
"""

from collections.abc import Sequence

_N = 3  # tokens that must be the same
_FIRST_PAUSE, _MAX_PAUSE = 8, 128  # tokens without a draft after a wrong one


class Lookup:
    """The places of the n-grams of one growing sequence, and how well its drafts fared."""

    def __init__(self) -> None:
        self._next_of: dict[tuple[int, ...], int] = {}
        self._n_indexed = _N
        self._pause, self._wait_until = _FIRST_PAUSE, 0

    def draft(self, token_ids: Sequence[int], n_tokens: int) -> list[int]:
        """The tokens that followed the newest n-gram the last time.

        Args:
            token_ids: The sequence; it only grows between calls.
            n_tokens: How many at most.

        Returns:
            Ids, none if the n-gram is new.

        Example:
            >>> Lookup().draft([5, 6, 7, 8, 9, 5, 6, 7], 2)
            [8, 9]
        """
        for place in range(self._n_indexed, len(token_ids)):
            self._next_of[tuple(token_ids[place - _N : place])] = place
        self._n_indexed = max(_N, len(token_ids))
        last = self._next_of.get(tuple(token_ids[-_N:]))
        if last is None or len(token_ids) < self._wait_until:
            return []
        return list(token_ids[last : last + n_tokens])

    def judge(self, n_tokens: int, n_drafted: int, n_right: int) -> None:
        """Learn how many tokens of a draft were right.

        Args:
            n_tokens: Length of the sequence now.
            n_drafted: Length of the draft.
            n_right: Tokens at its beginning that were right.
        """
        if 2 * n_right >= n_drafted:
            self._pause = _FIRST_PAUSE
            return
        self._wait_until = n_tokens + self._pause
        self._pause = min(2 * self._pause, _MAX_PAUSE)
