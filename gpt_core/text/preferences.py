"""Read pairs of answers for preference tuning, and split them without leakage."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gpt_core.config import PreferenceConfig, current_limits
from gpt_core.errors import DataError
from gpt_core.object_paths import Location
from gpt_core.text.records import RecordFormat, read_column_names, read_record_file, require_unicode

_FORMATS: dict[str, RecordFormat] = {
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip
_PROMPTS = ("instruction", "prompt")


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """A prompt, the answer that is better and the one that is worse."""

    instruction: str
    input: str
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class PreferenceFile:
    """The pairs of a file, and what was left out of it."""

    rows: list[PreferencePair]
    n_left_out: int
    """Pairs that lack a text, or whose answers are equal."""

    notice: str
    """A sentence on the pairs that are left out; empty if there are none."""


@dataclass(frozen=True, slots=True)
class PreferenceSplits:
    """Pairs for training, for model selection and for the final metrics."""

    train: list[PreferencePair]
    validation: list[PreferencePair]
    test: list[PreferencePair]

    def by_name(self) -> dict[str, list[PreferencePair]]:
        """The splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def read_preferences(path: Location) -> PreferenceFile:
    """Read the pairs of a JSON, JSON-lines or Parquet file.

    Raises:
        DataError: If the file cannot be read, naming the place in it, has too many pairs that
            cannot be used, or holds none.
    """
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise DataError(f"{path}: pairs of answers are read from {', '.join(_FORMATS)}")
    columns = _columns(path) if form == "parquet" else ("chosen", "rejected")
    pairs, n_blank, n_equal, first = [], 0, 0, ""
    for place, row in read_record_file(path, form, columns):
        pair = _to_pair(row, f"{path}, {place}")
        blank = not (pair.instruction.strip() and pair.chosen.strip() and pair.rejected.strip())
        equal = pair.chosen.strip() == pair.rejected.strip() and not blank
        n_blank, n_equal, first = (
            n_blank + blank,
            n_equal + equal,
            first or place * (blank or equal),
        )
        if not blank and not equal:
            pairs.append(pair)
    n_left_out = n_blank + n_equal
    total = len(pairs) + n_left_out
    sentence = (
        f"{n_left_out:,} of {total:,} pairs of {path} lack a text ({n_blank:,}) or have two equal "
        f"answers ({n_equal:,}), first {first}"
    )
    if n_left_out > current_limits().blank_rows * total:
        raise DataError(f"{sentence}: correct them, or raise limits.blank_rows")
    if not pairs:
        raise DataError(f"{path} holds no pair of answers")
    return PreferenceFile(pairs, n_left_out, f"{sentence}: they are left out" if n_left_out else "")


def read_preference_splits(
    path: Location, config: PreferenceConfig
) -> tuple[PreferenceSplits, PreferenceFile]:
    """Read pairs and split them at random; those with an equal prompt stay in one split.

    Raises:
        DataError: If the file cannot be read, or a split is empty.
    """
    file = read_preferences(path)
    same: dict[tuple[str, str], list[PreferencePair]] = defaultdict(list)
    for pair in file.rows:
        same[pair.instruction, pair.input].append(pair)
    groups = list(same.values())
    random.Random(config.seed).shuffle(groups)
    fractions = config.validation_share, config.test_share
    n_validation, n_test = (round(len(groups) * fraction) for fraction in fractions)
    held = n_validation + n_test
    cuts = (groups[held:], groups[:n_validation], groups[n_validation:held])
    for name, chosen, fraction in zip(("train", "validation", "test"), cuts, (1.0, *fractions),
                                      strict=True):  # fmt: skip
        if not chosen and fraction > 0:
            raise DataError(
                f"{path}: {len(groups)} different prompts leave none for the {name} part: give more"
            )
    return PreferenceSplits(*(_flat(chosen) for chosen in cuts)), file


def _flat(groups: Sequence[Sequence[PreferencePair]]) -> list[PreferencePair]:
    return [pair for group in groups for pair in group]


def _columns(path: Location) -> tuple[str, ...]:
    """The columns of a Parquet file that are read."""
    there = set[str]()
    with suppress(DataError):  # a damaged file is reported by read_record_file
        there.update(read_column_names(path, "parquet"))
    return (*(name for name in (*_PROMPTS, "input") if name in there), "chosen", "rejected")


def _to_pair(row: object, where: str) -> PreferencePair:
    values: Mapping[object, object] = row if isinstance(row, dict) else {}
    prompt = next((name for name in _PROMPTS if name in values), None)
    missing = next((name for name in ("chosen", "rejected") if name not in values), None)
    if prompt is None or missing is not None:
        found = ", ".join(map(str, values)) if isinstance(row, dict) else type(row).__name__
        wanted = missing or "prompt"
        raise DataError(f"{where} has no {wanted!r}; it has {found:.200}")
    names = (prompt, "input", "chosen", "rejected")
    texts = (_to_text(values.get(name), name, where) for name in names)
    return PreferencePair(*texts)


def _to_text(value: object, name: str, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{where}: {name!r} holds no text but {value!r:.40}")
    require_unicode(value, f"{where}: {name!r}")
    return value
