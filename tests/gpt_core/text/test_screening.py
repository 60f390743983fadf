"""Documents are dropped by the filters that are on, and each reason is counted with examples."""

import random

from gpt_core.config import CleaningConfig
from gpt_core.text.overlap import EvaluationTexts
from gpt_core.text.screening import Screen

HELD = "the cat that sat on the mat was the one that ate all of the fish in the garden."
TEXTS = [HELD, "Le chat est sur la table avec les livres de ma mère.", "- a\n- b", "too short"]
CONFIG = CleaningConfig(languages=("en", "fr"), quality=True, quality_min_words=2)


def test_nothing_is_dropped_by_default() -> None:
    screen = Screen(CleaningConfig())
    assert all(screen.keeps(text) for text in TEXTS)
    assert screen.report() == {}


def test_reports_of_parts_are_those_of_the_whole() -> None:
    texts = random.choices(TEXTS, k=40)
    held = EvaluationTexts([HELD])
    whole, first, second = (Screen(CONFIG, held) for _ in range(3))
    kept = [whole.keeps(text) for text in texts]
    cut = random.randint(0, 40)
    assert kept == [*map(first.keeps, texts[:cut]), *map(second.keeps, texts[cut:])]
    first.merge(second.reports)
    assert first.report() == whole.report()
    assert sum(int(str(each["documents"])) for each in whole.report().values()) == kept.count(False)
    assert whole.reports["contaminated"].examples[0] == " ".join(HELD.split()[:13])


def test_contaminated_documents_may_be_kept_and_are_counted() -> None:
    screen = Screen(CleaningConfig(contaminated="keep"), EvaluationTexts([HELD]))
    assert screen.keeps(f"Once {HELD}")
    assert screen.report() == {
        "contaminated": {
            "documents": 1, "characters": len(HELD) + 5, "examples": [" ".join(HELD.split()[:13])],
        }
    }  # fmt: skip
