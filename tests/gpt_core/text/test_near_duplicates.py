"""Near duplicates are found exactly: the groups are those of comparing every pair."""

import random

import pytest

from gpt_core.text.near_duplicates import (
    find_near_duplicates,
    group_near_duplicates,
    jaccard,
    shingles_of,
    text_hash,
    words_of,
)

WORDS = ("sun", "tea", "book", "road", "home", "rain", "milk", "song")


def texts(seed: int, n: int = 150) -> list[str]:
    """Texts of few different words, many of which are variants of another."""
    rng = random.Random(seed)
    made = [" ".join(rng.choices(WORDS, k=rng.randint(1, 14))) for _ in range(n)]
    for i in range(n // 2):
        words = made[i].split()
        words[rng.randrange(len(words))] = rng.choice(WORDS)
        made.append(" ".join(words))
    return made


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 1.0])
def test_the_groups_are_those_of_comparing_every_pair(threshold: float) -> None:
    found = texts(random.randrange(1 << 30))
    shingles = shingles_of(found)
    groups = list(range(len(found)))
    for i, one in enumerate(shingles):
        for j in range(i):
            if jaccard(one, shingles[j]) >= threshold - 1e-9 and groups[i] != groups[j]:
                low, high = sorted((groups[i], groups[j]))
                groups = [low if group == high else group for group in groups]
    assert 1 < len(set(groups)) < len(found)
    assert group_near_duplicates(found, threshold) == groups
    held, rest = found[::3], found[1::3]
    sets = dict(zip(found, shingles, strict=True))
    assert find_near_duplicates(rest, held, threshold) == [
        any(jaccard(sets[text], sets[other]) >= threshold - 1e-9 for other in held) for text in rest
    ]


def test_numbers_matter_in_short_texts_only() -> None:
    assert words_of("What is 3 + 4?") != words_of("What is 3 + 5?")
    spam = "You have won a prize of {} pounds, call {} now to claim your reward."
    assert words_of(spam.format(500, "0800 123")) == words_of(spam.format(900, "0800 999"))
    assert text_hash("A good film .") == text_hash("a GOOD film!") != text_hash("a bad film")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("café au lait", "CAFE AU LAIT"),
        ("قَالَ رَسُولُ اللَّهِ", "قال رسول الله"),
        ("ok", "OK!!"),
        ("...", " ... "),
    ],
)
def test_marks_case_and_punctuation_do_not_matter(one: str, other: str) -> None:
    assert group_near_duplicates([one, "something else", other], 1.0) == [0, 1, 0]


def test_texts_without_spaces_are_compared_by_their_characters() -> None:
    same = ["今日は天気がいいから散歩しましょう", "今日は天気がいいから散歩します"]
    assert group_near_duplicates([*same, "明日は雨が降るそうです"], 0.5) == [0, 0, 2]


def test_thousands_of_variants_of_one_template_take_no_quadratic_time() -> None:
    template = "your parcel from {} is waiting at the office please come and collect it today"
    found = [template.format(f"{a}{b}") for a in "abcdefghijklmnopqrst" for b in WORDS * 40]
    assert len(found) == 6400
    assert set(group_near_duplicates(found, 0.5)) == {0}
