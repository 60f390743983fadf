"""A table as a newcomer has it: from a spreadsheet, with other names of columns and semicolons."""

import csv
from pathlib import Path

_WORDS = {"good": ("lovely", "warm", "clever"), "bad": ("dull", "cold", "endless")}


def write_reviews(path: Path, n_rows: int = 120) -> None:
    """Write labelled texts with the columns Nr, Review and Mood."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["Nr", "Review", "Mood"])
        for number in range(n_rows):
            mood = ("good", "bad")[number % 2]
            word = _WORDS[mood][number // 2 % 3]
            text = f'the {number // 6}th; film of {number * 37 % 101} is "{word}", I thought'
            rows.writerow([number, text, mood])
