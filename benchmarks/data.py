"""How fast a large text is cleaned and encoded, by one worker and by two, and in how much memory.

Run from the checkout: ``python -m benchmarks.data SIZE_GB``. The text is made of English books,
WikiText and Sahih al-Bukhari, again and again, with one letter of every fiftieth word changed at
random in each copy: many documents nearly equal others. Peers are used if ``.peers/data`` is an
environment with ``datatrove`` and ``pyarabic``.
"""

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.report import DATA, PEERS, publish, timed

FILE_BYTES = 32_000_000
LETTERS = "abcdefghijklmnopqrstuvwxyzابتثجحخدذرزسشصضطظعغفقكلمنهوي"
PEER = PEERS / "data" / "bin" / "python"
PEER_BYTES = 20_000_000
STAGES = ("clean", "near", "encode")


@dataclass(frozen=True)
class Measured:
    """A stage with a number of workers."""

    seconds: float
    worker_mb: float
    """The peak memory of the largest worker."""

    main_mb: float
    """The peak memory of the process that started the workers."""

    main_cpu: float
    """Seconds of CPU time of that process."""

    workers_cpu: float
    """Seconds of CPU time of all workers that are processes."""


def main() -> None:
    """Measure everything and append it to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("size", type=float, help="gigabytes of text (10 to the power of 9)")
    parser.add_argument("--stage", choices=STAGES)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.stage:
        print(json.dumps(run_stage(arguments.stage, arguments.workers, arguments.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="gptflow-data-") as name:
        folder = Path(name)
        (folder / "text").mkdir()
        n_bytes = write_text(folder / "text", int(arguments.size * 1e9))
        lines = [*stages(folder, n_bytes), "", *peers(folder)]
    how = (
        f"{n_bytes / 1e9:.2f} GB in files of {FILE_BYTES / 1e6:.0f} MB: books, WikiText and "
        "Bukhari repeated, in each copy one letter of every fiftieth word changed at random; each "
        "measurement is a process of its own with its workers, one after the other."
    )
    publish("Data stages", f"data {arguments.size:g}", how, lines)


def sources() -> dict[str, str]:
    """The texts by language, paragraphs apart."""
    books = sorted((DATA / "english" / "books").glob("*.md"))
    wiki = DATA / "wikitext" / "wiki.test.raw"
    english = "\n\n".join(file.read_text(encoding="utf-8") for file in [*books, wiki])
    arabic = (DATA / "arabic" / "bukhari_raw.txt").read_text(encoding="utf-8")
    return {"english": english, "arabic": arabic}


def perturbed(text: str, rng: random.Random) -> str:
    """A copy with one letter of every fiftieth word changed."""
    words = text.split(" ")
    for place in range(rng.randrange(50), len(words), 50):
        word = words[place]
        if word:
            at = rng.randrange(len(word))
            words[place] = word[:at] + rng.choice(LETTERS) + word[at + 1 :]
    return " ".join(words)


def write_text(folder: Path, wanted: int) -> int:
    """Write files of paragraphs; the bytes of all."""
    rng, texts = random.Random(17), list(sources().values())
    written = number = 0
    held = bytearray()
    while written + len(held) < wanted:
        held += b"\n\n" + perturbed(texts[number % len(texts)], rng).encode()
        number += 1
        while len(held) >= FILE_BYTES or written + len(held) >= wanted > written:
            size = min(FILE_BYTES, len(held))
            file = folder / f"{written // FILE_BYTES:05d}.txt"
            file.write_bytes(bytes(held[:size]).decode("utf-8", "ignore").encode())
            written += file.stat().st_size
            del held[:size]
    return written


def stages(folder: Path, n_bytes: int) -> list[str]:
    """The table of the stages, with one and two workers."""
    lines = [
        "| stage | MB/s, 1 worker | MB/s, 2 workers | two / one (target 1.8) | MB per CPU second, "
        "1 and 2 workers | two / one by CPU time | peak MB of a worker (target 1,000) | peak MB of "
        "the command |",
        "|---|---|---|---|---|---|---|---|",
    ]
    names = {"clean": "cleaning", "near": "cleaning with near duplicates", "encode": "encoding"}
    for stage, name in names.items():
        one, two = (measure(stage, workers, folder) for workers in (1, 2))
        speeds = [n_bytes / each.seconds / 1e6 for each in (one, two)]
        lines.append(
            f"| {name} | {speeds[0]:.1f} | {speeds[1]:.1f} | {speeds[1] / speeds[0]:.2f} | "
            f"{_by_cpu(one, two, n_bytes)} | "
            f"{max(one.worker_mb, two.worker_mb):.0f} | {max(one.main_mb, two.main_mb):.0f} |"
        )
    return lines


def _by_cpu(one: Measured, two: Measured, n_bytes: int) -> str:
    """Speeds in CPU time, and what two undisturbed cores would gain if work were all that counts.

    Of two workers the command's own time is serial, that of the workers is halved.
    """
    cpu = [each.main_cpu + each.workers_cpu for each in (one, two)]
    speeds = " and ".join(f"{n_bytes / each / 1e6:.1f}" for each in cpu)
    if not two.workers_cpu:
        return f"{speeds} | (threads)"
    return f"{speeds} | {cpu[0] / (two.main_cpu + two.workers_cpu / 2):.2f}"


def measure(stage: str, workers: int, folder: Path) -> Measured:
    """Measure a stage in a process of its own."""
    command = [
        sys.executable, "-m", "benchmarks.data", "0", "--stage", stage,
        "--workers", str(workers), "--folder", str(folder),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def run_stage(stage: str, workers: int, folder: Path) -> dict[str, float]:
    """Run a stage; with one worker it is this process."""
    from gpt_core.artifact import read_artifact
    from gpt_core.config import CleaningConfig, ReadingConfig, ShardConfig, TokenizerConfig
    from gpt_core.engine import LocalEngine
    from gpt_core.text import clean_corpus, register_source

    raw = folder / "raw"
    if not raw.exists():
        register_source(folder / "text", raw)
    source = read_artifact(raw)
    out = folder / f"{stage}-{workers}"
    with LocalEngine(workers) as engine:
        if stage == "encode":
            from gpt_core.data import encode_corpus
            from gpt_core.tokenizers import train_tokenizer

            corpus = read_artifact(folder / "clean-2")
            gpt2 = TokenizerConfig(kind="gpt2", vocab_size=None, directory=str(DATA / "gpt2"))
            tokenizer = train_tokenizer(corpus, gpt2, folder / "tokenizer")
            work = partial(encode_corpus, corpus, tokenizer, ShardConfig(workers=workers), out)
        else:
            cleaning = CleaningConfig(near_duplicates=stage == "near")
            work = partial(clean_corpus, source, ReadingConfig(), cleaning, out, engine=engine)
        before = cpu_seconds(resource.RUSAGE_SELF)
        seconds = timed(work)
    if out.name != "clean-2":  # which is encoded
        shutil.rmtree(out)
    main_cpu = cpu_seconds(resource.RUSAGE_SELF) - before
    workers_cpu = cpu_seconds(resource.RUSAGE_CHILDREN)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    worker = children if workers_cpu else own  # threads are this process
    return asdict(Measured(seconds, worker, own, main_cpu, workers_cpu))


def cpu_seconds(who: int) -> float:
    """CPU time of this process or of its children that have ended."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def peers(folder: Path) -> list[str]:
    """The table of the peers, on the beginning of the same text in one process each."""
    text = (folder / "text" / "00000.txt").read_bytes() + _second(folder)
    part = folder / "peer.txt"
    part.write_bytes(text[:PEER_BYTES].decode("utf-8", "ignore").encode())
    lines = [
        "| the first megabytes of the same text, MB per CPU second | ours | peer | "
        "ours / peer | target |",
        "|---|---|---|---|---|",
        _row("encoding, tiktoken's own loop", encode_ours(part), encode_tiktoken(part), "0.9"),
    ]
    if not PEER.exists():
        return [*lines, "", "datatrove and pyarabic: not installed in `.peers/data`, left out."]
    lines.append(
        _row("reading, cleaning and exact duplicates, datatrove", clean_ours(part), _peer(
            "datatrove", part), "")
    )  # fmt: skip
    arabic = folder / "arabic.txt"
    arabic.write_text(sources()["arabic"], encoding="utf-8")
    lines.append(_row("Arabic marks and letters, pyarabic", rules_ours(arabic), _peer(
        "pyarabic", arabic), ""))  # fmt: skip
    return [*lines, "", COMPARED]


COMPARED = (
    "datatrove: documents through its SymbolLinesFormatter after a Unicode normalization (NFKC), "
    "then its hash of each text in a set, nothing written; ours reads the file, applies all "
    "rules of the preset to the same paragraphs and writes Parquet. pyarabic: strip_tashkeel, "
    "strip_tatweel, normalize_hamza and normalize_ligature; ours the rules of the same name."
)


def _second(folder: Path) -> bytes:
    file = folder / "text" / "00001.txt"
    return file.read_bytes() if file.is_file() else b""


def _row(name: str, ours: float, peer: float | None, target: str) -> str:
    if peer is None:
        return f"| {name} | {ours:.1f} | did not run | | {target} |"
    return f"| {name} | {ours:.1f} | {peer:.1f} | {ours / peer:.2f} | {target} |"


def speed(file: Path, work: Callable[[], object]) -> float:
    """Megabytes per second of CPU time, the best of three."""
    found = []
    for _ in range(3):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return file.stat().st_size / min(found) / 1e6


def paragraphs(file: Path) -> list[str]:
    """The documents of a file."""
    return file.read_text(encoding="utf-8").split("\n\n")


def encode_ours(file: Path) -> float:
    """Our encoder, paragraph by paragraph."""
    from gpt_core.tokenizers import GPT2Tokenizer

    gpt2, texts = GPT2Tokenizer.from_release(DATA / "gpt2"), paragraphs(file)
    return speed(file, lambda: [gpt2.encode_array(text) for text in texts])


def encode_tiktoken(file: Path) -> float:
    """Tiktoken alone, the same way."""
    from gpt_core.tokenizers import GPT2Tokenizer

    encoding = GPT2Tokenizer.from_release(DATA / "gpt2").to_tiktoken()
    texts = paragraphs(file)
    return speed(file, lambda: [encoding.encode_ordinary(text) for text in texts])


def clean_ours(file: Path) -> float:
    """The whole stage in this process."""
    from gpt_core.config import CleaningConfig, ReadingConfig
    from gpt_core.text import clean_corpus, register_source

    raw, out = file.with_suffix(".raw-artifact"), file.with_suffix(".corpus")
    source = register_source(file, raw)
    return speed(file, lambda: clean_corpus(source, ReadingConfig(), CleaningConfig(), out))


def rules_ours(file: Path) -> float:
    """Only the rules that pyarabic has as well."""
    from gpt_core.config import CleaningConfig
    from gpt_core.text import Cleaner

    names = ("strip_brackets", "strip_page_marks", "strip_digits", "strip_separators",
             "strip_controls", "collapse_whitespace")  # fmt: skip
    off = dict.fromkeys(names, False)
    cleaner = Cleaner(CleaningConfig(language="arabic", unify_letters=True, **off))
    texts = paragraphs(file)
    return speed(file, lambda: [cleaner.clean(text) for text in texts])


PEER_CODE = {
    "datatrove": """
import sys, time, unicodedata
from pathlib import Path
from datatrove.data import Document
from datatrove.pipeline.formatters import SymbolLinesFormatter
from datatrove.utils.hashing import HashConfig, create_hash_func
def documents():
    for number, text in enumerate(Path(sys.argv[1]).read_text("utf-8").split("\\n\\n")):
        yield Document(text=unicodedata.normalize("NFKC", text), id=str(number))
def work():
    seen, hash_of = set(), create_hash_func(HashConfig(precision=64))
    for document in SymbolLinesFormatter([","])(documents()):
        seen.add(hash_of(document.text.encode()))
""",
    "pyarabic": """
import sys
from pathlib import Path
from pyarabic import araby
texts = Path(sys.argv[1]).read_text("utf-8").split("\\n\\n")
def work():
    for text in texts:
        text = araby.strip_tatweel(araby.strip_tashkeel(text))
        araby.normalize_ligature(araby.normalize_hamza(text))
""",
}


def _peer(name: str, file: Path) -> float | None:
    """A peer's megabytes per second in its own environment; None if it does not run."""
    timing = (
        "\nimport time\nfound = []\nfor _ in range(3):\n"
        "    started = time.process_time(); work(); found.append(time.process_time() - started)\n"
        "print(min(found))"
    )
    command = [str(PEER), "-c", PEER_CODE[name] + timing, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name} did not run: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return file.stat().st_size / float(done.stdout) / 1e6


if __name__ == "__main__":
    main()
