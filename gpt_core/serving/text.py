"""The text of a continuation as it may be sent: complete characters, and no part of a stop string.

What is sent does not depend on the borders of the tokens: pushing the same bytes in other portions
gives the same text, and so does asking for it at once or as a stream.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gpt_core.tokenizers import StreamDecoder, Tokenizer

Item = TypeVar("Item")


class StopScanner:
    r"""Ends a text before the first stop string that it completes.

    Of several that are completed by the same character, the longest counts.

    Args:
        stops: The stop strings, none of them empty.

    Example:
        >>> scanner = StopScanner(["</s>", "\n\n"])
        >>> [scanner.push(part) for part in ("one\n", "two <", "/s", "> three")]
        ['one', '\ntwo ', '', '']
        >>> scanner.stopped
        True
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = sorted(set(stops), key=len, reverse=True)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Add text; return the part of what is there that no stop string can begin in."""
        if self.stopped:
            return ""
        if not self._stops:
            return text
        start = len(self._held)
        self._held += text
        cut = self._find(start)
        if cut is not None:
            self.stopped = True
            return self._release(cut)
        return self._release(len(self._held) - self._open())

    def flush(self) -> str:
        """End the text; return what was held."""
        return "" if self.stopped else self._release(len(self._held))

    def _find(self, start: int) -> int | None:
        """Where the first completed stop string begins; what is before ``start`` has none."""
        for end in range(start + 1, len(self._held) + 1):
            for stop in self._stops:
                if self._held.endswith(stop, 0, end):
                    return end - len(stop)
        return None

    def _open(self) -> int:
        """Length of the longest end of the text that a stop string begins with."""
        longest = len(self._stops[0]) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0

    def _release(self, length: int) -> str:
        ready, self._held = self._held[:length], self._held[length:]
        return ready


@dataclass(frozen=True, slots=True)
class Piece(Generic[Item]):
    """Text that may be sent, with the tokens that begin in it."""

    text: str
    items: tuple[tuple[int, Item], ...]
    """Each token's item, after the position of its first character in the continuation."""


class TextStream(Generic[Item]):
    """Turns the tokens of a continuation into text, with an item for each token.

    A token is handed out with the first character that it contributes to; the tokens of a stop
    string are not.

    Args:
        tokenizer: The tokenizer of the ids.
        stops: Strings before which the text ends.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()) -> None:
        self._decoder = StreamDecoder(tokenizer)
        self._scanner = StopScanner(stops)
        self._waiting: deque[tuple[int, Item]] = deque()
        self._decoded = 0  # characters, held ones included
        self._sent = 0

    @property
    def stopped(self) -> bool:
        """Whether a stop string was completed; nothing follows."""
        return self._scanner.stopped

    def push(self, token_id: int, item: Item) -> Piece[Item]:
        """Add a token."""
        self._waiting.append((self._decoded, item))
        text = self._decoder.push(token_id)
        self._decoded += len(text)
        return self._piece(self._scanner.push(text))

    def flush(self) -> Piece[Item]:
        """End the text: what was held, with U+FFFD for an incomplete character."""
        text = "" if self.stopped else self._scanner.push(self._decoder.flush())
        piece = self._piece(text + self._scanner.flush())
        if self.stopped:
            return piece
        rest = tuple(self._waiting)  # tokens without text
        self._waiting.clear()
        return Piece(piece.text, piece.items + rest)

    def _piece(self, text: str) -> Piece[Item]:
        self._sent += len(text)
        items = []
        while self._waiting and self._waiting[0][0] < self._sent:
            items.append(self._waiting.popleft())
        return Piece(text, tuple(items))


def token_text(tokenizer: Tokenizer, token_id: int) -> str:
    r"""A token as it is shown with its probability.

    Bytes that are no complete characters are shown as OpenAI does, ``bytes:\xd8``; a special token
    as its name, ``<|eos|>``.
    """
    content = tokenizer.token_bytes(token_id)
    if not content:
        names = (name for name, each in tokenizer.special_ids.items() if each == token_id)
        return f"<|{next(names, 'special')}|>"
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in content)
