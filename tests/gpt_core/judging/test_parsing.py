"""Reading a judge's reply: every form that judges use, and nothing that is ambiguous."""

import json
import random

import pytest

from gpt_core.judging import UnreadableError, parse_choice, parse_score


@pytest.mark.parametrize(
    ("text", "score", "form"),
    [
        ('{"rationale": "x", "score": 4}', 4, "json"),
        ('{"rationale": "two\nlines", "score": 4}', 4, "json"),
        ('{"score": 4.0}', 4, "json"),
        ('{"Score": "4"}', 4, "json"),
        ('{"score": "4/5"}', 4, "json"),
        ("4", 4, "json"),
        ('```json\n{"score": 4}\n```', 4, "fenced"),
        ('Sure! {"rationale": "it is {ok}", "score": 4} Bye.', 4, "fenced"),
        ('<think>maybe {"score": 1}</think>{"score": 4}', 4, "json"),
        ("Score: 4", 4, "text"),
        ("**Score:** 4", 4, "text"),
        ("The answer is right in 2 of 3 points, so I give it a 4 out of 5.", 4, "text"),
        ("In 1998 it was 3. My rating is 4.", 4, "text"),
        ("On a scale from 1 to 5, I would rate this a 4.", 4, "text"),
        ("First I thought score: 2, but then score: 4", 4, "text"),
        ("4/5", 4, "text"),
        ('{"rationale": "the end is missing", "score": 4', 4, "text"),
    ],
)
def test_a_score_is_read_in_every_form(text: str, score: int, form: str) -> None:
    verdict = parse_score(text, 1, 5)
    assert (verdict.value, verdict.form) == (score, form)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"score": NaN}', "whole number, got NaN"),
        ('{"score": 850}', "from 1 to 5, got 850"),
        ('{"score": 1e999}', "whole number, got inf"),
        ('{"score": 0}', "from 1 to 5"),
        ('{"score": 4.5}', "whole number, got 4.5"),
        ('{"score": true}', "whole number, got True"),
        ('{"score": null}', "whole number, got None"),
        ('{"score": [4]}', "whole number"),
        ('{"score": "good"}', "no JSON object with a score"),
        ('{"score": 1, "score": 5}', "a key twice"),
        ('{"verdict": 4}', 'no key "score"'),
        ("It was written in 1998 by 3 people.", "no JSON object with a score"),
        ("Score: 850", "from 1 to 5, got 850"),
        ("Score: 4.5", "whole number, got 4.5"),
        ("a score from 1 to 5", "no JSON object with a score"),
        ("", "no JSON object with a score"),
        ("[" * 100_000, "no JSON object with a score"),
    ],
)
def test_an_ambiguous_reply_is_refused_with_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(UnreadableError, match=problem.replace("(", "\\(")):
        parse_score(text, 1, 5)


def test_the_forms_of_a_hundred() -> None:
    for text in ("85", "an 85 out of 100", "Score: 85/100", "I'd score it 85.", '{"score": "85"}'):
        assert parse_score(text, 0, 100).value == 85, text


def test_a_choice_is_read_or_refused() -> None:
    assert parse_choice('{"rationale": "", "better": "a"}').value == 1
    assert parse_choice('```\n{"better": "tie"}\n```').value == 0
    assert parse_choice("The better is B.").value == -1
    assert parse_choice("B").value == -1
    for text in ('{"better": "both"}', '{"better": 1}', "A bee and a tie are here", ""):
        with pytest.raises(UnreadableError):
            parse_choice(text)


def test_any_text_gives_a_valid_score_or_a_reason() -> None:
    """Fuzzed replies: what is read is in range, and nothing else than a reason is raised."""
    generator = random.Random()
    parts = [
        '{"score":', "4", "}", "```", "json", "score", ": ", '"', "NaN", "850", "\\", "[", "\n",
        "out of 5", "-", ".", "ٱ", "\ud800", "rate", "1e400", "</think>", "<think>",
    ]  # fmt: skip
    readable = 0
    for _ in range(3000):
        text = "".join(generator.choices(parts, k=generator.randrange(12)))
        try:
            verdict = parse_score(text, 1, 5)
        except UnreadableError as error:
            assert str(error)
        else:
            readable += 1
            assert 1 <= verdict.value <= 5, text
            json.dumps(verdict.rationale).encode()
    assert readable
