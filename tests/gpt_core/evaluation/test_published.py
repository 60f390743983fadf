"""Every row of the table has the accuracy that was published for it."""

from gpt_core.config import AblationConfig
from gpt_core.evaluation.published import PUBLISHED


def test_every_row_has_a_published_accuracy() -> None:
    assert set(PUBLISHED) == set(AblationConfig().rows)
    assert PUBLISHED["last-block"] == 0.9833
    assert all(0 < value < 1 for value in PUBLISHED.values())
