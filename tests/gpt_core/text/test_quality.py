"""The limits are those of the papers: random pages get the reasons of an oracle written from them.

Most pages break one limit or nearly do.
"""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from gpt_core.text.quality import QualityFilter, limits

PROSE = (
    "It was the best of times and the worst of times, as people of that age have often said to "
    "each other. Nobody could agree with them about what a good year might be, so every spring "
    "the council sat in its old hall, drank tea, wrote long letters home, and looked out at rain "
    "that fell slowly over roofs, gardens, carts, and a grey river."
)
ARABIC = (
    "كان في المدينة رجل يحب الكتب ولا يخرج من بيته إلا إلى السوق. وكان يقرأ على ضوء المصباح حتى "
    "يطلع الفجر، ثم ينام قليلا ويعود إلى أوراقه. وقد سأله جاره يوما عن سر ذلك فقال إن الكلمة أبقى "
    "من الذهب، وإن ما يكتبه الناس يسافر بعدهم في الأرض، فلا يضيع منه شيء. فضحك الجار وقال له ما "
    "عرفنا عنك غير الصمت الطويل."
)
WORDS = [f"word{a}{b}" for a in "abcdefghijklmnopqrst" for b in "abcdefghijklmnopqrst"]


def counted_twice(parts: list[str]) -> list[str]:
    return [part for i, part in enumerate(parts) if part in parts[:i]]


def top(words: list[str], n: int) -> int:
    counts = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    most = max(counts.values())
    return most * len(next(each for each in counts if counts[each] == most)) if most > 1 else 0


def again(words: list[str], n: int) -> int:
    seen, size, i = set(), 0, 0
    while i + n <= len(words):
        ngram = tuple(words[i : i + n])
        size, step = (size + len("".join(ngram)), n) if ngram in seen else (size, 1)
        seen.add(ngram)
        i += step
    return size


def broken(text: str) -> Iterator[str]:  # noqa: C901
    """The limits that an English page breaks, by Gopher's A1.1, its table A1, and FineWeb's 3.6."""
    words, lines = text.split(), [line for line in text.split("\n") if line.strip()]
    named = [word for word in words if any(c.isalnum() for c in word)]
    if not 50 <= len(named) <= 100_000:
        yield "words"
    if not 3 <= sum(len(word) for word in named) / len(named) <= 10:
        yield "mean_word_length"
    if text.count("#") > 0.1 * len(words):
        yield "hashes_per_word"
    if text.count("...") + text.count("…") > 0.1 * len(words):
        yield "ellipses_per_word"
    if sum(line.strip()[0] in "•-" for line in lines) > 0.9 * len(lines):
        yield "bullet_lines"
    if sum(line.strip().endswith(("...", "…")) for line in lines) > 0.3 * len(lines):
        yield "ellipsis_lines"
    if sum(any(c.isalpha() for c in word) for word in words) < 0.8 * len(words):
        yield "alphabetic_words"
    common = {"the", "be", "to", "of", "and", "that", "have", "with"}
    if len(common & {word.strip(".,!?-").lower() for word in words}) < 2:
        yield "stop_words"
    for unit, parts in (("paragraph", text.split("\n\n")), ("line", lines)):
        twice = counted_twice(parts)
        if len(twice) > 0.3 * len(parts):
            yield f"repeated_{unit}s"
        if len("".join(twice)) > 0.2 * len(text):
            yield f"repeated_{unit}_characters"
    for n, most in ((2, 0.20), (3, 0.18), (4, 0.16)):
        if top(words, n) > most * len(text):
            yield f"top_{n}_gram"
    for n, most in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)):
        if again(words, n) > most * len(text):
            yield f"repeated_{n}_grams"
    if sum(line.strip()[-1] in '.!?…"”»' for line in lines) < 0.12 * len(lines):
        yield "lines_ending_a_sentence"
    if sum(len(line) <= 30 for line in lines) > 0.67 * len(lines):
        yield "short_lines"
    if len("".join(counted_twice(lines))) > 0.1 * len(text.replace("\n", "")):
        yield "fineweb_repeated_line_characters"


def draw_page() -> str:
    """Prose with one odd thing, more or less of it."""
    n = random.randint(1, 30)
    new = iter(random.sample(WORDS, len(WORDS)))
    prose = [next(new) for _ in range(random.randint(30, 90))] + ["The", "of,"]
    odd = random.choice([
        "#" * n, "... " * n, "12 " * n * 2, "x" * n * 40, "so it is " * n, "a " * n * 5,
        "\n- the sea of ice." * n,
        "\n" + "\n".join(f"• {next(new)} and {next(new)}" for _ in range(n)),
        "\n" + "\n".join(f"{next(new)} {next(new)} {next(new)}..." for _ in range(n // 4)),
        "\n\nYes." * (n // 4), "\n" + "\n".join(f"{next(new)}" for _ in range(n)),
        " " + " ".join(prose[:n]), "\n" + " ".join(prose) + "\n" + " ".join(prose[: n + 8]), "",
    ])  # fmt: skip
    end = random.choice([".", ".", "!", "", "..."])
    stop = prose if random.random() < 0.95 else prose[:-2]
    return (" ".join(stop) + end + " " + odd).strip()


def test_pages_get_the_reason_that_the_papers_give_them() -> None:
    quality, seen = QualityFilter(50), Counter[str | None]()
    for _ in range(600):
        page = draw_page()
        expected = next(broken(page), None)
        found = quality.reason(page)
        assert found == (f"quality_{expected}" if expected else None), page
        seen[expected] += 1
    assert seen[None] > 20
    assert len(seen) > 10
    assert set(seen) - {None} <= {limit.reason for limit in limits(50)}


@pytest.mark.parametrize("text", [PROSE, ARABIC, f"{PROSE}\n\n{ARABIC}"], ids=["en", "ar", "both"])
def test_prose_is_kept(text: str) -> None:
    assert QualityFilter(50).reason(text) is None


def test_stop_words_and_sentence_ends_are_known_in_arabic() -> None:
    quality = QualityFilter(5)
    assert quality.reason("ذَهَبَ إِلَى المَدِينَةِ مِنْ بَيْتِهِ فَهَلْ رَجَعَ؟") is None
    assert quality.reason("ذهب زيد بعد العصر مسرعا ثم رجع.") == "quality_stop_words"
    assert quality.reason("ذهب إلى المدينة من بيته") == "quality_lines_ending_a_sentence"


def test_the_least_number_of_words_is_a_setting() -> None:
    short = "He said that it was the end of the day."
    assert QualityFilter(50).reason(short) == "quality_words"
    assert QualityFilter(10).reason(short) is None
    assert QualityFilter(1).reason("  \n ") == "quality_words"
