"""Read a score or a choice out of what a judge wrote: JSON, JSON in a fence, or a score in words.

Every value is checked. What is ambiguous (a key twice, a number out of range) is an error that the
judge is asked about, never a guess.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Form = Literal["json", "fenced", "text"]
"""How a reply was read: strict JSON, JSON inside other text, or a score in words."""

CHOICES = {"a": 1, "b": -1, "tie": 0}
"""The choices of a comparison: 1 prefers the first answer, -1 the second."""

_THOUGHTS = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```[a-zA-Z]*\s*(.*?)```", re.DOTALL)
_NUMBER = r"(?P<number>[-+]?\d+(?:[.,]\d+)?)(?!\s*(?:-|–|to)\s*\d)(?![\d.,]*\d)"
_MAX_RATIONALE = 4000  # characters that are kept
_MAX_TEXT = 200_000  # characters that are searched for a score


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The value of a reply, and why."""

    value: int
    """A score, or one of the values of ``CHOICES``."""

    rationale: str
    form: Form


class UnreadableError(Exception):
    """A reply without a usable value; its text is what the judge is answered."""


def parse_score(text: str, low: int, high: int) -> Verdict:
    """Read a score from a reply.

    Args:
        text: The reply.
        low: The lowest score.
        high: The highest.

    Raises:
        UnreadableError: If there is none, or it is out of range.

    Example:
        >>> parse_score('{"rationale": "right", "score": 4}', 1, 5).value
        4
        >>> parse_score("The model's answer is right, I give it 4 out of 5.", 1, 5).value
        4
        >>> parse_score('{"rationale": "right", "score": 850}', 0, 100)
        Traceback (most recent call last):
        ...
        gpt_core.judging.parsing.UnreadableError: the score must be from 0 to 100, got 850
    """
    text = _THOUGHTS.sub("", text).strip()
    found = _find_json(text)
    if found is None:
        return Verdict(value=_score_in_words(text, low, high), rationale=_cut(text), form="text")
    value, form = found
    if isinstance(value, Mapping):
        if "score" not in value:
            raise UnreadableError('the JSON object has no key "score"')
        score = _as_score(value["score"], low, high)
        return Verdict(value=score, rationale=_cut(str(value.get("rationale", ""))), form=form)
    return Verdict(value=_as_score(value, low, high), rationale="", form=form)


def parse_choice(text: str) -> Verdict:
    """Read which of two answers is preferred: ``A``, ``B`` or ``tie``.

    Raises:
        UnreadableError: If the reply does not say so.

    Example:
        >>> parse_choice('{"rationale": "B is right", "better": "B"}').value
        -1
    """
    text = _THOUGHTS.sub("", text).strip()
    found = _find_json(text)
    value, form = found or (None, "text")
    if isinstance(value, Mapping):
        chosen = str(value.get("better", "")).strip().casefold()
        if chosen in CHOICES:
            rationale = _cut(str(value.get("rationale", "")))
            return Verdict(value=CHOICES[chosen], rationale=rationale, form=form)
        raise UnreadableError('"better" must be "A", "B" or "tie"')
    words = re.findall(r"(?i)\b(?:better|prefer\w*|winner|choice)\b\W+(?:is\W+)?(A|B|tie)\b", text)
    alone = re.fullmatch(r"(?i)\W*(A|B|tie)\W*", text)
    chosen = alone.group(1) if alone else words[-1] if words else ""
    if chosen.casefold() not in CHOICES:
        raise UnreadableError('there is no JSON object with "better"')
    return Verdict(value=CHOICES[chosen.casefold()], rationale=_cut(text), form="text")


def _find_json(text: str) -> tuple[object, Form] | None:
    """The JSON value that a reply is, or that it has in a fence or between braces."""
    try:
        return _load(text), "json"
    except ValueError:
        candidates = _FENCE.findall(text)
        begin, end = text.find("{"), text.rfind("}")
        if 0 <= begin < end:
            candidates.append(text[begin : end + 1])
    for candidate in reversed(candidates):
        try:
            loaded = _load(candidate.strip())
        except ValueError:
            continue
        return loaded, "fenced"
    return None


def _load(text: str) -> object:
    """Parse JSON; line ends inside of strings are allowed, because models write them.

    Raises:
        ValueError: If it is no JSON.
        UnreadableError: If it is, but with a key twice or a number that is none.
    """
    try:
        return json.loads(text, strict=False, object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = {name.casefold(): value for name, value in pairs}
    if len(found) < len(pairs):
        raise UnreadableError("the JSON object has a key twice")
    return found


def _refuse(constant: str) -> object:
    raise UnreadableError(f"the score must be a whole number, got {constant}")


def _as_score(value: object, low: int, high: int) -> int:
    """A JSON value as a score.

    Raises:
        UnreadableError: If it is no whole number in range.
    """
    if isinstance(value, str):
        return _score_in_words(value, low, high)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableError(f"the score must be a whole number, got {value!r:.60}")
    if not math.isfinite(value) or value != int(value):
        raise UnreadableError(f"the score must be a whole number, got {value!r:.60}")
    if not low <= value <= high:
        raise UnreadableError(f"the score must be from {low} to {high}, got {value!r:.60}")
    return int(value)


def _score_in_words(text: str, low: int, high: int) -> int:
    """The last score in a text, by the phrases that introduce one.

    A number without such a phrase is none: it may be a year, or the number of a step.

    Raises:
        UnreadableError: If there is none, or it is out of range.
    """
    text = text[-_MAX_TEXT:]
    alone = re.fullmatch(rf"\W*{_NUMBER}\W*(?:(?:/|out of)\s*{high}\W*)?", text.strip())
    found = [alone] if alone else _phrases(text, high)
    if not found:
        raise UnreadableError(f"there is no JSON object with a score from {low} to {high}")
    number = found[-1].group("number").replace(",", ".")
    return _as_score(float(number), low, high)


def _phrases(text: str, high: int) -> list[re.Match[str]]:
    """Every phrase that gives a score, in the order of their numbers."""
    patterns = (
        rf"\b(?:score|rating|rate|grade|mark)\b[^\w\n+-]{{0,8}}"
        rf"(?:(?:is|of|would be)\W{{1,4}})?{_NUMBER}",
        rf"\b(?:give|gave|rate|rated|score|scored|deserves?|award)\b[^.\d\n]{{0,60}}?{_NUMBER}",
        rf"(?<![\d.]){_NUMBER}\s*(?:/|out of)\s*{high}\b",
    )
    found = [match for each in patterns for match in re.finditer(each, text, re.IGNORECASE)]
    return sorted(found, key=lambda match: match.start("number"))


def _cut(text: str) -> str:
    return text[:_MAX_RATIONALE].encode("utf-8", "replace").decode()
