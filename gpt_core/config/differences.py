"""Finds the setting in which two configurations differ."""


def find_difference(
    one: object, other: object, path: str = ""
) -> tuple[str, object, object] | None:
    """Find the first leaf that differs between two trees of settings.

    Args:
        one: Tables, lists and values as in JSON.
        other: Of the same kind.
        path: The dotted name of the tree itself.

    Returns:
        Its dotted name and both values, or None if the trees are equal.

    Example:
        >>> find_difference({"model": {"n_head": 4}}, {"model": {"n_head": 8}})
        ('model.n_head', 4, 8)
    """
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = (find_difference(*pair, path) for pair in zip(one, other, strict=True))
        return next(filter(None, pairs), None)
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            found = find_difference(one.get(key), other.get(key), f"{path}.{key}".strip("."))
            if found is not None:
                return found
        return None
    return None if one == other else (path, one, other)
