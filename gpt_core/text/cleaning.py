"""Clean a text by the rules of its language, and count what each rule removed."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from gpt_core.config import CleaningConfig
from gpt_core.text.arabic import arabic_rules
from gpt_core.text.english import english_rules

_ARABIC_LETTER = re.compile("[\u0620-\u064a\u066e-\u06d3\u0750-\u077f\ufb50-\ufdff\ufe76-\ufefc]")
_LATIN_LETTER = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_SCRIPT_SAMPLE = 2000  # first characters of a document, by which its script is detected
_N_EXAMPLES = 3  # recorded for each rule
_EXAMPLE_WIDTH = 80  # characters


def language_of(text: str) -> str:
    """Detect ``arabic`` or ``english`` by the script of most letters in the first 2,000 characters.

    Example:
        >>> language_of("قال: hello")
        'english'
    """
    sample = text[:_SCRIPT_SAMPLE]
    arabic = len(_ARABIC_LETTER.findall(sample))
    return "arabic" if arabic > len(_LATIN_LETTER.findall(sample)) else "english"


@dataclass(slots=True)
class RuleReport:
    """How much one rule removed, with examples."""

    characters_removed: int = 0
    documents: int = 0
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, before: str, after: str) -> None:
        """Count a document that the rule changed."""
        self.characters_removed += len(before) - len(after)
        self.documents += 1
        if len(self.examples) < _N_EXAMPLES:
            self.examples.append(around_first_change(before, after))

    def merge(self, later: "RuleReport") -> None:
        """Add the counts of the documents that came after these, and their examples."""
        self.characters_removed += later.characters_removed
        self.documents += later.documents
        self.examples = (self.examples + later.examples)[:_N_EXAMPLES]


class Cleaner:
    """Applies the cleaning rules and reports how much each of them removed.

    Args:
        config: The language and the switches of its rules.
    """

    def __init__(self, config: CleaningConfig) -> None:
        self.language = config.language
        self.rules = {
            "arabic": arabic_rules(config), "english": english_rules(config), "none": ()
        }  # fmt: skip
        self.reports: dict[str, RuleReport] = {}

    def clean(self, text: str) -> str:
        """Apply all rules of a document's language to its text."""
        language = language_of(text) if self.language == "auto" else self.language
        for rule in self.rules[language]:
            cleaned = rule.apply(text)
            if cleaned != text:
                self.reports.setdefault(rule.name, RuleReport()).add(text, cleaned)
            text = cleaned
        return text

    def merge(self, later: Mapping[str, RuleReport]) -> None:
        """Add the reports of another cleaner of the same rules, on later documents."""
        for name, report in later.items():
            self.reports.setdefault(name, RuleReport()).merge(report)

    def report(self) -> dict[str, dict[str, object]]:
        """The reports by rule, in the order of the rules, without rules that changed nothing."""
        order = [rule.name for rules in self.rules.values() for rule in rules]
        return {name: asdict(self.reports[name]) for name in order if name in self.reports}


def around_first_change(before: str, after: str) -> dict[str, str]:
    """Excerpts of two texts around the place where they first differ."""
    pairs = zip(before, after, strict=False)
    first = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(before), len(after)))
    start = max(0, first - _EXAMPLE_WIDTH // 4)
    return {
        name: text[start : start + _EXAMPLE_WIDTH].encode("utf-8", "backslashreplace").decode()
        for name, text in (("before", before), ("after", after))
    }
