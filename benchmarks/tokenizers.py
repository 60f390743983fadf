"""How fast the tokenizers train and encode, against their peers, measured in turn on one text.

Run from the checkout: ``python -m benchmarks.tokenizers``. The text is English books of 11 MB; the
100 MB are the same books again and again, in each copy one letter of every fiftieth word changed at
random. Every measurement is a process of its own, which also gives its peak memory.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import DATA, PEERS, ROOT, publish

MINBPE = PEERS / "minbpe"
TURNS = 3
Measured = dict[str, Any]


def main() -> None:
    """Measure everything in turn, print the tables and append them to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("measure", nargs="?", choices=MEASURES, help="one measurement, as JSON")
    parser.add_argument("file", nargs="?", type=Path)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(MEASURES[arguments.measure](arguments.file)))
        return
    books = sorted((DATA / "english" / "books").glob("*.md"))
    if not books:
        print(f"left out: {DATA / 'english' / 'books'} has no text")
        return
    with tempfile.TemporaryDirectory() as folder:
        small, large, tiny = (Path(folder) / name for name in ("10MB", "100MB", "1MB"))
        texts = [book.read_text(encoding="utf-8") for book in books]
        small.write_text("\0".join(texts), encoding="utf-8")
        tiny.write_text(texts[0][:1_000_000], encoding="utf-8")
        with large.open("w", encoding="utf-8") as file:
            for number, text in enumerate(perturbed(texts, 100_000_000)):
                file.write(f"\0{text}" if number else text)
        how = f"Median of {TURNS} turns, ours and the peer's one after the other; minbpe once."
        tables = [*training(small, large, tiny), "", *encoding(small)]
        publish("Tokenizers", "tokenizers", how, tables)


def training(small: Path, large: Path, tiny: Path) -> list[str]:
    """The table of training."""
    lines = [
        "| training, peer | ours | peer | ours / peer | CPU time of all threads | memory | "
        "same merges | target |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for file in (small, large):
        ours, peer = in_turn("ours_32k", "huggingface_32k", file)
        lines.append(
            row(f"32 k on {file.name}, HF tokenizers", ours, peer)
            + f" {'yes' if ours['merges'] == peer['merges'] else 'NO'} | ≤ 1.5, memory ≤ 2 |"
        )
    if MINBPE.is_dir():
        ours, peer = in_turn("ours_1k", "minbpe_1k", tiny, turns=1)
        lines.append(row("1 k on 1 MB, minbpe", ours, peer) + " ties differ | ≤ 0.01 |")
    else:
        lines.append("| 1 k on 1 MB, minbpe: not there (.peers/minbpe) | | | | | | | |")
    return lines


def row(name: str, ours: Measured, peer: Measured) -> str:
    """The cells that all rows of training share."""
    ratio, memory = ours["seconds"] / peer["seconds"], ours["peak_mb"] / peer["peak_mb"]
    return (
        f"| {name} | {ours['seconds']:.2f} s | {peer['seconds']:.2f} s | {ratio:.3f} | "
        f"{ours['cpu']:.2f} / {peer['cpu']:.2f} s | "
        f"{ours['peak_mb']:.0f} / {peer['peak_mb']:.0f} MB = {memory:.2f} |"
    )


def encoding(small: Path) -> list[str]:
    """The table of encoding."""
    pairs = [
        ("GPT-2's ids, one text", "encode_ours", "encode_tiktoken", "identical ids"),
        ("what we trained (8 k), through tiktoken", "encode_trained", "encode_huggingface", ""),
        ("Unigram (8 k), SentencePiece alone", "encode_unigram", "encode_sentencepiece", ""),
        ("documents to Parquet, tiktoken alone", "corpus", "tiktoken_batch", "≥ 0.9"),
    ]
    lines = [
        "| encoding 11 MB, peer | ours | peer | ours / peer | same ids | target |",
        "|---|---|---|---|---|---|",
    ]
    for name, ours_name, peer_name, target in pairs:
        ours, peer = in_turn(ours_name, peer_name, small)
        speeds = [measured["bytes"] / measured["seconds"] / 1e6 for measured in (ours, peer)]
        same = "yes" if ours["ids"] == peer["ids"] else "NO"
        lines.append(
            f"| {name} | {speeds[0]:.1f} MB/s | {speeds[1]:.1f} MB/s | "
            f"{speeds[0] / speeds[1]:.2f} | {same} | {target} |"
        )
    return lines


def in_turn(ours: str, peer: str, file: Path, turns: int = TURNS) -> tuple[Measured, Measured]:
    """Medians of both, measured alternately."""
    measured: tuple[list[Measured], list[Measured]] = ([], [])
    for _ in range(turns):
        for name, list_ in zip((ours, peer), measured, strict=True):
            command = [sys.executable, "-m", "benchmarks.tokenizers", name, str(file)]
            answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            list_.append(json.loads(answer.stdout))
            print(name, file.name, f"{list_[-1]['seconds']:.2f} s", file=sys.stderr)
    results = []
    for list_ in measured:
        measured_names = ("seconds", "cpu", "peak_mb")
        medians = {name: statistics.median(one[name] for one in list_) for name in measured_names}
        results.append(list_[0] | medians)
    return results[0], results[1]


def perturbed(texts: list[str], n_bytes: int) -> Iterator[str]:
    """The texts again and again, each fiftieth word with one letter changed."""
    draw, size, copy = random.Random(0), 0, 0
    while size < n_bytes:
        for text in texts:
            words = text.split(" ")
            for index in draw.sample(range(len(words)), len(words) // 50 if copy else 0):
                at = draw.randrange(max(1, len(words[index])))
                words[index] = words[index][:at] + draw.choice("etaoins") + words[index][at + 1 :]
            changed = " ".join(words)
            size += len(changed.encode())
            yield changed
        copy += 1


def timed(work: Callable[[], Any]) -> tuple[Any, Measured]:
    """The result of some work, its time and the most memory the process ever held."""
    started, cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return result, {"seconds": seconds, "cpu": cpu, "peak_mb": kilobytes / 1024}


def digest(value: object) -> str:
    """A short hash by which two processes compare what they made."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def texts_of(file: Path) -> list[str]:
    """The texts that were joined into a file."""
    return file.read_text(encoding="utf-8").split("\0")


def train_ours(file: Path, vocab_size: int) -> Measured:
    """Our trainer."""
    from gpt_core.tokenizers import train_bpe
    from gpt_core.tokenizers.bpe import merge_strings

    texts = texts_of(file)
    made, measured = timed(lambda: train_bpe(iter(texts), vocab_size, "gpt2"))
    return {**measured, "merges": digest(merge_strings(made.merges))}


def train_huggingface(file: Path) -> Measured:
    """Hugging Face's trainer, with the same pattern and alphabet."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    texts = texts_of(file)
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=32_256, show_progress=False, initial_alphabet=alphabet)
    _, measured = timed(lambda: made.train_from_iterator(iter(texts), trainer))
    return {**measured, "merges": digest(json.loads(made.to_str())["model"]["merges"])}


def train_minbpe(file: Path) -> Measured:
    """The trainer of minbpe with a split pattern."""
    sys.path.insert(0, str(MINBPE))
    from minbpe import RegexTokenizer

    text = file.read_text(encoding="utf-8")
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    _, measured = timed(lambda: RegexTokenizer(pattern).train(text, 1000))
    return measured


def encoded(file: Path, encode: Callable[[str], list[int]], texts: list[str]) -> Measured:
    """The speed of a function over texts."""
    ids, measured = timed(lambda: [encode(text) for text in texts])
    return {**measured, "bytes": sum(len(text.encode()) for text in texts), "ids": digest(ids)}


def encode_gpt2(file: Path, *, ours: bool) -> Measured:
    """GPT-2's ids of each book in one call."""
    from gpt_core.tokenizers import GPT2Tokenizer

    gpt2 = GPT2Tokenizer.from_release(DATA / "gpt2")
    encode = gpt2.encode if ours else gpt2.to_tiktoken().encode_ordinary
    return encoded(file, encode, texts_of(file))


def encode_trained(file: Path, *, ours: bool) -> Measured:
    """Encode with our BPE, by us and exported to Hugging Face, paragraph by paragraph."""
    from tokenizers import Tokenizer

    from gpt_core.tokenizers import train_bpe, write_huggingface

    texts = texts_of(file)
    made = train_bpe(texts, 8000, "marks")
    paragraphs = [part for text in texts for part in text.split("\n\n")]
    if ours:
        return encoded(file, made.encode, paragraphs)
    with tempfile.TemporaryDirectory() as folder:
        write_huggingface(made, Path(folder) / "tokenizer.json")
        theirs = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    batch, measured = timed(lambda: theirs.encode_batch(paragraphs))  # on all cores
    n_bytes = sum(len(text.encode()) for text in paragraphs)
    return {**measured, "bytes": n_bytes, "ids": digest([one.ids for one in batch])}


def encode_unigram(file: Path, *, ours: bool) -> Measured:
    """Unigram, by us and by SentencePiece alone, paragraph by paragraph."""
    import sentencepiece

    from gpt_core.config import TokenizerConfig
    from gpt_core.tokenizers import UnigramTokenizer

    texts = texts_of(file)
    made = UnigramTokenizer.train([texts[0]], TokenizerConfig(vocab_size=8000))
    paragraphs = [part for text in texts for part in text.split("\n\n")]
    theirs = sentencepiece.SentencePieceProcessor(model_proto=made.model)
    return encoded(file, made.encode if ours else theirs.encode, paragraphs)


def chapters_of(file: Path) -> list[str]:
    """Documents of about 50 KB, four times the books."""
    texts = texts_of(file) * 4
    size = 50_000
    return [text[start : start + size] for text in texts for start in range(0, len(text), size)]


def encode_corpus_to_parquet(file: Path) -> Measured:
    """The stage of the pipeline: documents to token shards, by a process a core."""
    from gpt_core.artifact import new_artifact
    from gpt_core.config import ShardConfig, TokenizerConfig
    from gpt_core.data import ShardReader, encode_corpus
    from gpt_core.text import SPLITS, Document, DocumentWriter
    from gpt_core.tokenizers import train_tokenizer

    documents = chapters_of(file)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with new_artifact(folder / "corpus", kind="documents") as draft:
            for split in SPLITS:
                with DocumentWriter(draft.directory / f"{split}.parquet") as writer:
                    for number, text in enumerate(documents if split == "train" else ()):
                        writer.write(Document(str(number), text, "books"))
        corpus = draft.artifact
        config = TokenizerConfig(kind="gpt2", vocab_size=None, directory=str(DATA / "gpt2"))
        gpt2 = train_tokenizer(corpus, config, folder / "tokenizer")
        made, measured = timed(lambda: encode_corpus(corpus, gpt2, ShardConfig(), folder / "out"))
        reader = ShardReader(made.directory, "train")
        ids = reader.read(0, reader.n_tokens)
    n_bytes = sum(len(text.encode()) for text in documents)
    return {**measured, "bytes": n_bytes, "ids": digest(ids[ids != 50_256].tolist())}


def encode_tiktoken_batch(file: Path) -> Measured:
    """The faster of tiktoken's methods: a batch of all documents on all cores, or one by one."""
    from gpt_core.tokenizers import GPT2Tokenizer

    documents = chapters_of(file)
    encoding = GPT2Tokenizer.from_release(DATA / "gpt2").to_tiktoken()
    cores = os.cpu_count() or 1
    batch, measured = timed(lambda: encoding.encode_ordinary_batch(documents, num_threads=cores))
    single = encoded(file, encoding.encode_ordinary, documents)
    ids = [token_id for one in batch for token_id in one]
    seconds = min(measured["seconds"], single["seconds"])
    return {**single, "seconds": seconds, "ids": digest(ids)}


MEASURES: dict[str, Callable[[Path], Measured]] = {
    "ours_32k": lambda file: train_ours(file, 32_257),
    "huggingface_32k": train_huggingface,
    "ours_1k": lambda file: train_ours(file, 1001),
    "minbpe_1k": train_minbpe,
    "encode_ours": lambda file: encode_gpt2(file, ours=True),
    "encode_tiktoken": lambda file: encode_gpt2(file, ours=False),
    "encode_trained": lambda file: encode_trained(file, ours=True),
    "encode_huggingface": lambda file: encode_trained(file, ours=False),
    "encode_unigram": lambda file: encode_unigram(file, ours=True),
    "encode_sentencepiece": lambda file: encode_unigram(file, ours=False),
    "corpus": encode_corpus_to_parquet,
    "tiktoken_batch": encode_tiktoken_batch,
}


if __name__ == "__main__":
    main()
