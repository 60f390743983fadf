"""Screen documents: which of them are dropped for their language, quality or contamination.

Each filter looks at one document alone, so that any part of a corpus can be screened by itself;
reports of parts are merged in the order of the parts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from gpt_core.config import CleaningConfig
from gpt_core.text.languages import LanguageFilter
from gpt_core.text.overlap import EvaluationTexts
from gpt_core.text.quality import QualityFilter

CONTAMINATED = "contaminated"
"""The reason of documents that share words with an evaluation text."""

_N_EXAMPLES = 3  # recorded for each reason
_EXAMPLE_WIDTH = 120  # characters


@dataclass(slots=True)
class ReasonReport:
    """How many documents there were for one reason, with examples."""

    documents: int = 0
    characters: int = 0
    examples: list[str] = field(default_factory=list)

    def merge(self, later: "ReasonReport") -> None:
        """Add the counts of documents that came after these, and their examples."""
        self.documents += later.documents
        self.characters += later.characters
        self.examples = (self.examples + later.examples)[:_N_EXAMPLES]


class Screen:
    """The filters that a configuration enables.

    Args:
        config: The filters.
        held: The evaluation texts; None if there are none.

    Raises:
        ConfigError: If a package is missing, or a language is unknown.
    """

    def __init__(self, config: CleaningConfig, held: EvaluationTexts | None = None) -> None:
        self._languages = LanguageFilter(config.languages) if config.languages else None
        self._quality = QualityFilter(config.quality_min_words) if config.quality else None
        self._held, self._drops_held = held, config.contaminated == "drop"
        self.reports: dict[str, ReasonReport] = {}

    def keeps(self, text: str) -> bool:
        """Whether a document is kept; if not, or if it is contaminated, it is counted."""
        for each in (self._languages, self._quality):
            reason = each.reason(text) if each is not None else None
            if reason is not None:
                self._count(reason, text, text)
                return False
        shared = self._held.shared_words(text) if self._held is not None else None
        if shared is None:
            return True
        self._count(CONTAMINATED, text, shared)
        return not self._drops_held

    def _count(self, reason: str, text: str, example: str) -> None:
        report = ReasonReport(1, len(text), [_shorten(example)])
        self.reports.setdefault(reason, ReasonReport()).merge(report)

    def merge(self, later: Mapping[str, ReasonReport]) -> None:
        """Add the reports of a screen of the same filters, on later documents."""
        for reason, report in later.items():
            self.reports.setdefault(reason, ReasonReport()).merge(report)

    def report(self) -> dict[str, dict[str, object]]:
        """The reports by reason, those of most documents first."""
        names = sorted(self.reports, key=lambda name: (-self.reports[name].documents, name))
        return {name: asdict(self.reports[name]) for name in names}


def _shorten(text: str) -> str:
    """The beginning of a text for a report."""
    return text[:_EXAMPLE_WIDTH].encode("utf-8", "backslashreplace").decode()
