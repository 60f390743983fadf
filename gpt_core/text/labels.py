"""The label of a classification that metrics are about."""

from collections.abc import Mapping

from gpt_core.errors import DataError


def positive_label(given: str | None, counts: Mapping[str, int]) -> str | None:
    """The label whose own F1 is given: the one asked for, or the rarer of two.

    Args:
        given: The setting ``classification.positive``.
        counts: Examples of each label.

    Raises:
        DataError: If no example has the label that is asked for.

    Example:
        >>> positive_label(None, {"ham": 87, "spam": 13})
        'spam'
    """
    labels = sorted(counts)
    if given is not None and given not in counts:
        shown = ", ".join(map(repr, labels[:8]))
        raise DataError(
            f"classification.positive is {given!r:.80}, which no example has; the labels are "
            f"{shown:.400}"
        )
    if given is not None or len(labels) != 2:
        return given
    return min(reversed(labels), key=lambda label: counts[label])
