"""How many near duplicates MinHash-LSH finds, and what it removes from Sahih al-Bukhari.

Run from the checkout: ``python -m benchmarks.near_duplicates``. The pairs are paragraphs of four
English books and hadiths, and their edited copies; the truth is the Jaccard similarity of the sets
of word trigrams.
"""

import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.report import DATA, publish, timed
from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.engine import run_serially
from gpt_core.finished_parts import PartStore
from gpt_core.text import Cleaner, read_texts
from gpt_core.text.minhash import Signature, Signer, band_rows
from gpt_core.text.near_duplicates import group_near_duplicates, jaccard, shingles_of
from gpt_core.text.signature_files import SignatureFiles, write_bands, write_signature
from gpt_core.text.similar_documents import group_documents

THRESHOLD = 0.8
PAIRS = 60  # for each edit and language
WORDS = range(80, 600)  # of a text
FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.4)
HEADER = {
    "English": "Home About Archive Contact Sign in to read this story and subscribe to our letter",
    "Arabic": "الرئيسية المكتبة التصنيفات المؤلفون اتصل بنا نسخة للطباعة جميع الحقوق محفوظة",
}

Edit = Callable[[list[str], list[str]], list[str]]
"""Words, and the words of the language, to edited words."""


def main() -> None:
    """Measure both tables and append them to the results."""
    texts = {"English": english(), "Arabic": arabic()}
    lines = [
        "| edit | language | true similarity, median | pairs >= 0.8 | recall | precision | "
        "recall of pairs >= 0.85 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, edit in edits().items():
        for language, originals in texts.items():
            lines.append(f"| {name} | {language} | {row(edit, originals, HEADER[language])} |")
    lines += ["", *bukhari()]
    how = (
        f"{PAIRS} pairs of {WORDS.start} to {WORDS.stop - 1} words for each row, threshold "
        f"{THRESHOLD}, each pair compared by itself; precision is left out where no pair was found."
    )
    publish("Near duplicates", "near_duplicates", how, lines)


def edits() -> dict[str, Edit]:
    """Every edit by its name."""
    made: dict[str, Edit] = {}
    for fraction in FRACTIONS:
        made[f"{fraction:.0%} of words substituted"] = substitute(fraction)
        made[f"{fraction:.0%} of words inserted"] = insert(fraction)
        made[f"{fraction:.0%} of words deleted"] = delete(fraction)
    made["sentences shuffled"] = shuffle_sentences
    made["header added"] = lambda words, pool: pool[-1].split() + words
    return made


def substitute(fraction: float) -> Edit:
    """Replace a fraction of the words by others of the language."""

    def edit(words: list[str], pool: list[str]) -> list[str]:
        chosen = set(random.sample(range(len(words)), round(fraction * len(words))))
        return [random.choice(pool[:-1]) if i in chosen else w for i, w in enumerate(words)]

    return edit


def insert(fraction: float) -> Edit:
    """Insert a fraction as many words of the language at random places."""

    def edit(words: list[str], pool: list[str]) -> list[str]:
        made = list(words)
        for _ in range(round(fraction * len(words))):
            made.insert(random.randrange(len(made) + 1), random.choice(pool[:-1]))
        return made

    return edit


def delete(fraction: float) -> Edit:
    """Leave out a fraction of the words."""

    def edit(words: list[str], pool: list[str]) -> list[str]:
        left = set(random.sample(range(len(words)), len(words) - round(fraction * len(words))))
        return [word for i, word in enumerate(words) if i in left]

    return edit


def shuffle_sentences(words: list[str], pool: list[str]) -> list[str]:
    """Put the sentences, or in Arabic the clauses, into another order."""
    sentences: list[list[str]] = [[]]
    for word in words:
        sentences[-1].append(word)
        if word.endswith((".", "?", "!", "؟", "،")):
            sentences.append([])
    random.shuffle(sentences)
    return [word for sentence in sentences for word in sentence]


def row(edit: Edit, originals: Sequence[str], header: str) -> str:
    """Similarity, recall and precision on the pairs of an edit."""
    pool = [word for text in originals for word in text.split()] + [header]
    signer, found, similarities = Signer(), [], []
    for text in random.sample(list(originals), PAIRS):
        other = " ".join(edit(text.split(), pool))
        similarities.append(jaccard(*shingles_of([text, other])))
        found.append(groups_of([signer.sign(text), signer.sign(other)])[1] == 0)
    true = [each >= THRESHOLD for each in similarities]
    clear = [f for f, each in zip(found, similarities, strict=True) if each >= THRESHOLD + 0.05]
    hits = sum(f and t for f, t in zip(found, true, strict=True))
    median = sorted(similarities)[PAIRS // 2]
    parts = [f"{median:.2f}", str(sum(true)), _ratio(hits, sum(true)), _ratio(hits, sum(found))]
    return " | ".join([*parts, _ratio(sum(clear), len(clear))])


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else ""


def groups_of(signatures: Sequence[Signature], threshold: float = THRESHOLD) -> list[int]:
    """The groups of documents as the cleaning of a corpus makes them."""
    with tempfile.TemporaryDirectory() as folder:
        part, store = SignatureFiles(Path(folder)), PartStore(Path(folder), kept=False)
        with part.signatures.open("wb") as file:
            for signature in signatures:
                write_signature(file, signature)
        write_bands(part, band_rows(threshold))
        groups = group_documents([part], threshold, store, run_serially)
    found = list(range(len(signatures)))
    for number, first in groups.tolist():
        found[number] = first
    return found


def english() -> list[str]:
    """Paragraphs of the books, joined to the wanted length."""
    made, words = [], list[str]()
    for book in sorted((DATA / "english" / "books").glob("*.md")):
        for paragraph in book.read_text(encoding="utf-8").split("\n\n"):
            words += paragraph.split()
            if len(words) in WORDS:
                made.append(" ".join(words))
            if len(words) >= WORDS.start:
                words = []
    return made


def hadiths() -> list[str]:
    """All hadiths, cleaned."""
    reading = ReadingConfig(boundaries="bukhari_index.tsv")
    cleaner = Cleaner(CleaningConfig())
    source = DATA / "arabic" / "bukhari_raw.txt"
    return [cleaner.clean(text) for _, text in read_texts(source, reading)]


def arabic() -> list[str]:
    """The hadiths of the wanted length."""
    return [text for text in dict.fromkeys(hadiths()) if len(text.split()) in WORDS]


def bukhari() -> list[str]:
    """Hadiths that are removed, and those of the exact comparison of all of them."""
    texts, signer = list(dict.fromkeys(hadiths())), Signer()
    signatures: list[Signature] = []
    signing = timed(lambda: signatures.extend(map(signer.sign, texts)))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    lines = [
        f"{len(texts):,} hadiths that differ after cleaning: signed at {megabytes / signing:.1f} "
        "MB/s of one core.",
        "",
        "| similarity | MinHash removes | exact join removes | both | seconds of grouping |",
        "|---|---|---|---|---|",
    ]
    for threshold in (0.7, 0.8, 0.9):
        groups: list[int] = []
        grouping = timed(lambda t=threshold, g=groups: g.extend(groups_of(signatures, t)))
        ours = {i for i, first in enumerate(groups) if first != i}
        line = f"| {threshold} | {len(ours)} |"
        if threshold == THRESHOLD:  # the exact join takes a minute
            exact = group_near_duplicates(texts, threshold)
            theirs = {i for i, first in enumerate(exact) if first != i}
            line += f" {len(theirs)} | {len(ours & theirs)} |"
            shown = [(groups[i], i) for i in sorted(ours)][:3]
        else:
            line += " | |"
        lines.append(f"{line} {grouping:.1f} |")
    lines += ["", f"The first three that {THRESHOLD} removes, each after the one that is kept:", ""]
    for first, second in shown:
        lines += [f"- `{texts[first][:150]}`", f"  `{texts[second][:150]}`"]
    return lines


if __name__ == "__main__":
    random.seed(17)
    main()
