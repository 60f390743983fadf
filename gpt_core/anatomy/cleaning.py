"""The effect of each cleaning rule on one text, change by change."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from gpt_core.config import CleaningConfig
from gpt_core.text import Cleaner, language_of


@dataclass(frozen=True, slots=True)
class Change:
    """A stretch of text that a rule kept, removed or added."""

    kind: Literal["kept", "removed", "added"]
    text: str


@dataclass(frozen=True, slots=True)
class RuleStep:
    """One rule that changed the text."""

    rule: str
    """The name of its switch in ``CleaningConfig``."""

    changes: tuple[Change, ...]
    """Kept and removed together are the text before the rule, kept and added the text after it."""

    @property
    def before(self) -> str:
        """The text that the rule was given."""
        return "".join(change.text for change in self.changes if change.kind != "added")

    @property
    def after(self) -> str:
        """The text that the rule left."""
        return "".join(change.text for change in self.changes if change.kind != "removed")


def cleaning_steps(text: str, config: CleaningConfig) -> list[RuleStep]:
    """Apply the rules of a text's language in their order; those that change nothing are left out.

    Args:
        text: A raw text.
        config: The language and the switches of its rules.
    """
    language = language_of(text) if config.language == "auto" else config.language
    steps = []
    for rule in Cleaner(config).rules[language]:
        cleaned = rule.apply(text)
        if cleaned != text:
            steps.append(RuleStep(rule.name, _compare(text, cleaned)))
        text = cleaned
    return steps


def _compare(before: str, after: str) -> tuple[Change, ...]:
    changes = []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, begin, end, new_begin, new_end in matcher.get_opcodes():
        if tag == "equal":
            changes.append(Change("kept", before[begin:end]))
            continue
        if end > begin:
            changes.append(Change("removed", before[begin:end]))
        if new_end > new_begin:
            changes.append(Change("added", after[new_begin:new_end]))
    return tuple(changes)
