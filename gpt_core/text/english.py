"""Rules for English text: typographic quotes and dashes become ASCII."""

import re

from gpt_core.config import CleaningConfig
from gpt_core.text.characters import collapse_whitespace, strip_controls
from gpt_core.text.rules import Rule

# The control characters among the quotes and dashes are these signs in Windows-1252. They occur in
# text that was once decoded as Latin-1 by mistake; no text means the controls themselves.
_SINGLE_QUOTES = re.compile("[\u2018\u2019\u201a\u201b\u2032\u02bc\u0091\u0092]")
_DOUBLE_QUOTES = re.compile("[\u201c-\u201f\u2033\u00ab\u00bb\u0093\u0094]")
_LONG_DASHES = re.compile(" ?[\u2014\u2015\u2e3a\u2e3b\u0097] ?")
_SHORT_DASHES = re.compile("[\u2010-\u2013\u2212\u0096]")


def straighten_quotes(text: str) -> str:
    """Replace typographic quotation marks and apostrophes by ASCII ones.

    Example:
        >>> print(straighten_quotes("“It’s”"))
        "It's"
    """
    return _DOUBLE_QUOTES.sub('"', _SINGLE_QUOTES.sub("'", text))


def straighten_dashes(text: str) -> str:
    """Replace a long dash by two hyphens, a short one by a hyphen, an ellipsis by three dots.

    Example:
        >>> straighten_dashes("1914–1918 — over…")
        '1914-1918 -- over...'
    """
    text = _LONG_DASHES.sub(" -- ", text)
    return _SHORT_DASHES.sub("-", text).replace("\u2026", "...")


RULES = (
    Rule("straighten_quotes", straighten_quotes),
    Rule("straighten_dashes", straighten_dashes),
    Rule("strip_controls", strip_controls),
    Rule("collapse_whitespace", collapse_whitespace),
)
"""Controls are removed last, because some of them stand for quotes and dashes."""


def english_rules(config: CleaningConfig) -> tuple[Rule, ...]:
    """The rules that the configuration enables, in order."""
    return tuple(rule for rule in RULES if getattr(config, rule.name))
