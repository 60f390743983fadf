"""Texts with 13 words of an evaluation text are found, and no others."""

import json
import random
from pathlib import Path

from gpt_core.config import ReadingConfig
from gpt_core.text.overlap import EvaluationTexts, read_evaluation_texts


def test_thirteen_words_in_a_row_are_found_and_twelve_are_not() -> None:
    words = [f"w{number}" for number in range(40)]
    held = EvaluationTexts([" ".join(words)])
    for _ in range(30):
        n, start = random.randint(1, 25), random.randint(0, 15)
        piece = words[start : start + n]
        text = f"Before it, {', '.join(piece).upper()}! and after it {start} {n}"
        assert held.shared_words(text) == (" ".join(piece[:13]) if n >= 13 else None)


def test_short_texts_are_compared_as_a_whole_and_the_shortest_not() -> None:
    held = EvaluationTexts(["a b c d e f g", "one two three four five six seven eight nine"])
    assert (held.n_texts, held.n_short) == (2, 1)
    assert held.shared_words("a b c d e f g") is None
    assert held.shared_words("two three four five six seven eight nine ten") is None
    shared = "one two three four five six seven eight nine"
    assert held.shared_words(f"zero {shared} ten") == shared
    assert EvaluationTexts([]).shared_words("anything at all") is None


def test_marks_do_not_hide_an_arabic_text() -> None:
    plain = "قال رسول الله صلى الله عليه وسلم إنما الأعمال بالنيات وإنما لكل امرئ ما نوى"
    marked = "قَالَ رَسُولُ اللَّهِ صَلَّى اللَّهُ عَلَيْهِ وَسَلَّمَ إِنَّمَا الأَعْمَالُ بِالنِّيَّاتِ، وَإِنَّمَا لِكُلِّ امْرِئٍ مَا نَوَى"
    assert EvaluationTexts([marked]).shared_words(f"حدثنا {plain}") is not None


def test_every_string_of_json_is_read_and_text_by_its_paragraphs(tmp_path: Path) -> None:
    first, second, third = (" ".join(f"{c}{n}" for n in range(13)) for c in "abc")
    (tmp_path / "a.jsonl").write_text(json.dumps({"query": first, "choices": [second, "x"]}))
    (tmp_path / "b.txt").write_text(f"a line\n\n{third}\n")
    held = read_evaluation_texts(tmp_path, ReadingConfig(split="blank-line"))
    assert [held.shared_words(text) for text in (first, second, third)] == [first, second, third]
    assert held.n_texts == 5
    assert held.shared_words(f"{first[:-3]} {second[3:]}") is None
