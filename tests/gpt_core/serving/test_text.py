"""Text that is sent does not depend on the borders of tokens."""

from hypothesis import given
from hypothesis import strategies as st

from gpt_core.serving.text import StopScanner, TextStream, token_text
from gpt_core.tokenizers import ByteTokenizer, CodePointTokenizer

LETTERS = "ab\n🙂👩‍🚀كتاب"
texts = st.text(LETTERS, max_size=40)
stop_lists = st.lists(st.text(LETTERS, min_size=1, max_size=5), max_size=4)


def cut(text: str, stops: list[str]) -> str:
    """The text before the first stop string to be complete, of several at once the longest."""
    for end in range(len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - max(map(len, found))]
    return text


@given(st.lists(texts, max_size=8), stop_lists)
def test_the_portions_of_a_text_do_not_matter(parts: list[str], stops: list[str]) -> None:
    scanner = StopScanner(stops)
    sent = "".join([*map(scanner.push, parts), scanner.flush()])
    assert sent == cut("".join(parts), stops)
    assert scanner.stopped == (sent != "".join(parts))


@given(st.lists(st.integers(0, 256), max_size=40), stop_lists)
def test_a_stream_of_any_bytes_is_their_decoded_text(ids: list[int], stops: list[str]) -> None:
    tokenizer = ByteTokenizer()
    stream, text, items, pushed = TextStream[int](tokenizer, stops), "", [], 0
    for token_id in ids:
        piece = stream.push(token_id, pushed)
        text, items, pushed = text + piece.text, [*items, *piece.items], pushed + 1
        if stream.stopped:
            break
    piece = stream.flush()
    text, items = text + piece.text, [*items, *piece.items]
    whole = tokenizer.decode(ids)
    assert text == cut(whole, stops)
    assert [item for _, item in items] == list(range(len(items)))
    if text == whole:
        assert len(items) == len(ids)
    for position, item in items[1:]:
        assert position <= len(whole)
        complete = tokenizer.decode(ids[:item])
        assert whole.startswith(complete[:position].removesuffix("\ufffd"))


@given(texts.filter(bool))
def test_emoji_and_arabic_arrive_in_complete_characters(text: str) -> None:
    tokenizer = ByteTokenizer()
    stream = TextStream[None](tokenizer)
    pieces = [stream.push(token_id, None).text for token_id in tokenizer.encode(text)]
    assert "".join(pieces) == text
    assert "\ufffd" not in "".join(pieces)
    assert all(len(piece) <= 1 for piece in pieces)


def test_what_may_begin_a_stop_string_is_held_back_until_it_is_none() -> None:
    scanner = StopScanner(["STOP", "OPEN"])
    assert [scanner.push(letter) for letter in "aSTO"] == ["a", "", "", ""]
    assert scanner.push("P") == ""
    assert (scanner.stopped, scanner.flush()) == (True, "")
    scanner = StopScanner(["STOP", "OPEN"])
    assert [scanner.push(letter) for letter in "STOPE"[:3]] == ["", "", ""]
    assert scanner.push("x") == "STOx"
    assert [scanner.push("OP"), scanner.flush()] == ["", "OP"]


def test_tokens_are_shown_as_text_bytes_or_names() -> None:
    tokenizer = ByteTokenizer()
    shown = [token_text(tokenizer, each) for each in (97, 0xD8, tokenizer.eos_id)]
    assert shown == ["a", "bytes:\\xd8", "<|eos|>"]
    assert token_text(CodePointTokenizer(["ك"]), 0) == "ك"
