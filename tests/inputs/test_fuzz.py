"""Every reader of a foreign file, with files that are almost right.

A valid small file of each kind is changed at random, always in the same way: bits, cuts, copies,
numbers, lengths. Its reader may raise the project's own errors, in one line, and nothing else;
where there is a checksum, what it reads is what was written.
"""

import gzip
import json
import random
import shutil
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gpt_core.artifact import Artifact, new_artifact, read_artifact, verify
from gpt_core.callbacks import JsonlRecorder
from gpt_core.checkpoints import CheckpointDescription, read_description, write_checkpoint
from gpt_core.config import GPTConfig, LoRAConfig, ReadingConfig, TokenizerConfig, load_config
from gpt_core.data import ShardReader
from gpt_core.data.shards import ShardWriter
from gpt_core.errors import GPTCoreError
from gpt_core.evaluation.hellaswag import read_hellaswag
from gpt_core.evaluation.lambada import read_lambada
from gpt_core.files import sha256_file, write_json
from gpt_core.finetuning.lora import add_adapters, merge_adapters
from gpt_core.interop import export_huggingface, read_gpt2_config, read_gpt2_tensors
from gpt_core.interop.gpt2_openai import read_openai_config, read_openai_tensors
from gpt_core.interop.release_tokenizer import read_release_tokenizer
from gpt_core.interop.weight_files import load_tensors, weight_files
from gpt_core.models import (
    AdapterDescription,
    Adapters,
    build_model,
    load_model,
    read_adapter,
    save_weights,
    weights_fingerprint,
    write_adapter,
)
from gpt_core.text import (
    Document,
    DocumentWriter,
    read_examples,
    read_instructions,
    read_preferences,
    read_texts,
    register_source,
    source_path,
)
from gpt_core.text.corpus import iter_documents
from gpt_core.tokenizers import (
    BPETokenizer,
    ByteTokenizer,
    CharacterTokenizer,
    RemappedBPETokenizer,
    SentencePieceBPETokenizer,
    Tokenizer,
    UnigramTokenizer,
    WordTokenizer,
    load_tokenizer,
    train_bpe,
    write_gpt2_files,
    write_huggingface,
)
from gpt_core.training.state_file import load_state
from tasks import paths
from tasks.sources import public_sources

MAX_MESSAGE = 2000  # characters: what a terminal shows of an error
BUNDLES = Path(__file__).parents[1] / "gpt_core/interop/tensorflow_bundles"
TEXTS = [f"the word {n} and the number {n * n} of قُلْ\n" for n in range(60)]
SAMPLE = "the word 12 قُل▁x\n"


@dataclass(frozen=True)
class Reader:
    """A kind of file and who reads it."""

    make: Callable[[Path], object]
    """Writes valid files into a folder."""

    file: str
    """The one that is changed."""

    read: Callable[[Path], object]
    """Reads the folder; the result can be compared."""

    checked: bool = False
    """Whether a changed file must be noticed: there is a checksum."""

    seal: Callable[[Path], object] = lambda folder: None
    """Writes the checksums again, as a forger would."""


def make_checkpoint(folder: Path) -> None:
    config = GPTConfig(n_layer=1, n_head=2, n_embd=8, context_length=8, vocab_size=257)
    model = build_model(config, seed=1)
    with new_artifact(folder, kind="checkpoint", config=config) as draft:
        write_checkpoint(
            draft,
            CheckpointDescription(kind="pretrained", step=3, model=config),
            save_weights=partial(save_weights, model),
            save_tokenizer=ByteTokenizer().save,
        )
        draft.metrics["validation_loss"] = 3.5
        state = {"step": 3, "updates": {"a": torch.ones(3)}, "meter": [1.0, 2.0], "rng": None}
        torch.save(state, draft.directory / "training_state.pt")


def verified(folder: Path) -> object:
    """Everything that the manifest's fingerprint covers, and the weights."""
    artifact = read_artifact(folder, "checkpoint")
    verify(artifact)
    manifest = artifact.manifest()
    model = load_model(folder)
    total = sum(float(weight.detach().double().sum()) for weight in model.parameters())
    return manifest.kind, manifest.config, manifest.info, manifest.files, total


def weights(folder: Path) -> object:
    model = load_model(folder)
    return [tuple(weight.shape) for weight in model.parameters()]


def make_hub_release(folder: Path) -> None:
    make_checkpoint(folder / "checkpoint")
    export_huggingface(read_artifact(folder / "checkpoint"), folder / "release")


def make_pickled(folder: Path, name: str = "pytorch_model.bin") -> None:
    torch.save({"a": torch.ones(4), "b": torch.zeros(2, 3)}, folder / name)


def make_sharded(folder: Path) -> None:
    (folder / "one.safetensors").write_bytes(b"")
    write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": "one.safetensors"}})


def make_openai(folder: Path) -> None:
    for file in BUNDLES.glob("gpt2.*"):
        shutil.copy(file, folder / file.name.replace("gpt2.", "model.ckpt."))
    settings = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_ctx": 10, "n_vocab": 257}
    write_json(folder / "hparams.json", settings)


def read_openai(folder: Path) -> object:
    tensors = read_openai_tensors(folder, read_openai_config(folder))
    return {name: float(tensor.double().sum()) for name, tensor in tensors.items()}


def make_tokenizer(kind: str) -> Tokenizer:
    if kind in ("bpe", "bpe-numbered"):
        base = train_bpe(TEXTS, 280, "gpt2")
        ids = [*range(1, base.vocab_size)]
        return base if kind == "bpe" else RemappedBPETokenizer(base, ids, {"</s>": 0}, 0, 300)
    if kind == "unigram":
        return UnigramTokenizer.train(TEXTS, TokenizerConfig(vocab_size=300))
    if kind == "sentencepiece-bpe":
        config = TokenizerConfig(kind="sentencepiece-bpe", vocab_size=300)
        return SentencePieceBPETokenizer.train(TEXTS, config)
    units = {"word": WordTokenizer, "character": CharacterTokenizer}
    return units[kind].train(TEXTS, None) if kind in units else ByteTokenizer()


def save_tokenizer(kind: str, folder: Path) -> None:
    make_tokenizer(kind).save(folder)


def use_tokenizer(folder: Path) -> object:
    tokenizer = load_tokenizer(folder)
    ids = tokenizer.encode(SAMPLE)
    assert all(0 <= token_id < tokenizer.vocab_size for token_id in ids)
    return tokenizer.vocab_size, ids, tokenizer.decode(ids), tokenizer.eos_id


def seal_tokenizer(folder: Path, file: str) -> None:
    """The description of a forged vocabulary: its hash is right."""
    description = json.loads((folder / "tokenizer.json").read_bytes())
    description["sha256"] = sha256_file(folder / file)
    write_json(folder / "tokenizer.json", description)


def make_vocabulary(folder: Path) -> None:
    tokenizer = make_tokenizer("bpe")
    assert isinstance(tokenizer, BPETokenizer)
    write_gpt2_files(tokenizer, folder)
    write_json(folder / "config.json", {})


def make_one_file(folder: Path) -> None:
    tokenizer = make_tokenizer("bpe")
    assert isinstance(tokenizer, BPETokenizer)
    write_huggingface(tokenizer, folder / "tokenizer.json")


def use_vocabulary(folder: Path) -> object:
    return read_release_tokenizer(folder / "config.json", 280, None).encode(SAMPLE)


def make_shards(folder: Path) -> None:
    (folder / "train").mkdir()
    file = folder / "train/part-00000.parquet"
    with ShardWriter(file, vocab_size=257, eos_id=256, tokenizer_fingerprint="f") as writer:
        writer.write(torch.arange(5000).remainder(257).numpy())


def use_shards(folder: Path) -> object:
    reader = ShardReader(folder, "train")
    reader.verify()
    return reader.read(0, 10_000).tolist(), reader.vocab_size, reader.eos_id


def make_documents(folder: Path) -> None:
    with DocumentWriter(folder / "train.parquet") as writer:
        for number, text in enumerate(TEXTS):
            writer.write(Document(f"t#{number}", text, "t"))


def use_documents(folder: Path) -> object:
    artifact = unchecked(folder)
    return sum(len(document.text) for document in iter_documents(artifact, "train"))


def unchecked(folder: Path) -> Artifact:
    """An artifact that nobody verified: a file may change after that."""
    return Artifact(kind="any", path=str(folder), fingerprint="0" * 32)


ROWS = [{"text": text, "label": "ab"[i % 2], "n": i} for i, text in enumerate(TEXTS[:20])]


def make_table(folder: Path, suffix: str) -> None:
    file = folder / f"table{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), file)
    elif suffix == ".json":
        file.write_text(json.dumps(ROWS))
    elif suffix == ".jsonl":
        file.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    else:
        comma = "\t" if suffix == ".tsv" else ","
        lines = [comma.join((row["label"], row["text"].strip())) for row in ROWS]
        file.write_text("\n".join([f"label{comma}text", *lines, ""]))


def use_table(folder: Path, suffix: str) -> object:
    file = folder / f"table{suffix}"
    errors = []
    for read in (read_examples, lambda path: list(read_texts(path, ReadingConfig()))):
        try:
            read(file)
        except GPTCoreError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return None


LABELLED = {"fasttext.txt": "__label__{label} {text}", "labels.txt": "{label} {text}"}


def make_labelled(folder: Path, name: str) -> None:
    lines = [LABELLED[name].format(**{**row, "text": str(row["text"]).strip()}) for row in ROWS]
    (folder / name).write_text("\n".join([*lines, ""]))


def make_table_of(rows: list[dict[str, str]], folder: Path, name: str) -> None:
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), folder / name)
    elif name.endswith(".csv"):
        lines = [",".join(row.values()) for row in rows]
        (folder / name).write_text("\n".join([",".join(rows[0]), *lines, ""]))
    else:
        write_json(folder / name, rows)


TASKS = [{"instruction": f"add {n}", "input": "", "output": str(n)} for n in range(20)]
PAIRS = [{"prompt": f"add {n}", "chosen": str(n), "rejected": "no"} for n in range(20)]


def make_adapter(folder: Path) -> None:
    make_checkpoint(folder / "base")
    model = add_adapters(load_model(folder / "base"), LoRAConfig(rank=2), [0])
    trained = merge_adapters(model)[1]
    assert trained is not None
    base = read_artifact(folder / "base")
    about = AdapterDescription(
        base=weights_fingerprint(base), checkpoint=read_description(base.directory), base_path=None
    )
    write_adapter(folder / "adapter", trained.settings, trained.tensors, about)


def use_adapter(folder: Path) -> object:
    adapter = read_adapter(folder / "adapter")
    base = read_artifact(folder / "base")
    Adapters(load_model(base.directory), weights_fingerprint(base)).load(folder / "adapter")
    return adapter.n_parameters


def make_questions(folder: Path) -> None:
    rows = [{"text": f"the last word is {n}"} for n in range(20)]
    (folder / "lambada.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    rows = [{"ctx": f"a {n}", "endings": ["b", "c", "d", "e"], "label": n % 4} for n in range(20)]
    (folder / "hellaswag.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def make_packed(folder: Path, name: str) -> None:
    text = "\n".join(TEXTS).encode()
    if name.endswith(".zip"):
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.txt", text)
            archive.writestr("b.jsonl", '{"text": "x"}\n')
    else:
        (folder / name).write_bytes(gzip.compress(text, mtime=0))


def make_text(folder: Path) -> None:
    (folder / "text.txt").write_text("".join(TEXTS))
    spans = [f"{40 * n}\t40" for n in range(20)]
    (folder / "spans.tsv").write_text("\n".join(["char_offset\tchar_length", *spans, ""]))


def use_texts(folder: Path, name: str, boundaries: str | None = None) -> object:
    return list(read_texts(folder / name, ReadingConfig(boundaries=boundaries)))


def make_metrics(folder: Path) -> None:
    rows = [{"step": n, "train/loss": 3.5} for n in range(30)]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def make_source(folder: Path) -> None:
    make_text(folder)
    register_source(folder / "text.txt", folder / "raw")


CONFIG = """[model]
n_layer = 4
n_embd = 64
[training]
steps = 500
patience = 3
[tokenizer]
kind = "bpe"
pattern = "gpt2"
[comparison]
tokenizers = ["byte", "bpe:8000"]
"""


def make_config(folder: Path) -> None:
    (folder / "config.toml").write_text(CONFIG)
    shutil.copy(paths.sources_file(), folder / "sources.toml")


def use_sources(folder: Path) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.sources.sources_file", lambda: folder / "sources.toml")
        return public_sources()


def tokenizer_readers() -> Iterator[tuple[str, Reader]]:
    files = {
        "bpe": "bpe.json", "bpe-numbered": "bpe.json", "unigram": "sentencepiece.model",
        "sentencepiece-bpe": "sentencepiece.model", "word": "vocabulary.json",
    }  # fmt: skip
    for kind, file in files.items():
        honest = Reader(partial(save_tokenizer, kind), file, use_tokenizer, checked=True)
        yield f"tokenizer {kind}", honest
        seal = partial(seal_tokenizer, file=file)
        yield f"tokenizer {kind}, forged", replace(honest, checked=False, seal=seal)
        yield f"tokenizer {kind}, description", replace(honest, file="tokenizer.json")


READERS: dict[str, Reader] = {
    "manifest": Reader(make_checkpoint, "manifest.json", verified, checked=True),
    "checkpoint, weights": Reader(make_checkpoint, "model.safetensors", verified, checked=True),
    "checkpoint, state": Reader(make_checkpoint, "training_state.pt", verified, checked=True),
    "description": Reader(make_checkpoint, "config.json", read_description),
    "weights by the description": Reader(make_checkpoint, "config.json", weights),
    "weights": Reader(make_checkpoint, "model.safetensors", weights),
    "training state": Reader(
        make_checkpoint,
        "training_state.pt",
        lambda folder: load_state(unchecked(folder), torch.device("cpu")) and None,
    ),
    **dict(tokenizer_readers()),
    "vocab.json": Reader(make_vocabulary, "vocab.json", use_vocabulary),
    "merges.txt": Reader(make_vocabulary, "merges.txt", use_vocabulary),
    "tokenizer.json": Reader(make_one_file, "tokenizer.json", use_vocabulary),
    "hub config": Reader(
        make_hub_release,
        "release/config.json",
        lambda folder: read_gpt2_tensors(
            folder / "release", read_gpt2_config(folder / "release")
        ).keys(),
    ),
    "hub weights": Reader(
        make_hub_release,
        "release/model.safetensors",
        lambda folder: read_gpt2_tensors(
            folder / "release", read_gpt2_config(folder / "release")
        ).keys(),
    ),
    "hub index": Reader(make_sharded, "model.safetensors.index.json", weight_files),
    "pickled weights": Reader(
        make_pickled,
        "pytorch_model.bin",
        lambda folder: load_tensors(folder / "pytorch_model.bin").keys(),
    ),
    "hparams": Reader(make_openai, "hparams.json", read_openai),
    "bundle index": Reader(make_openai, "model.ckpt.index", read_openai, checked=True),
    "bundle data": Reader(make_openai, "model.ckpt.data-00000-of-00001", read_openai, checked=True),
    "shards": Reader(make_shards, "train/part-00000.parquet", use_shards, checked=True),
    "documents": Reader(make_documents, "train.parquet", use_documents),
    **{
        f"table {suffix}": Reader(
            partial(make_table, suffix=suffix), f"table{suffix}", partial(use_table, suffix=suffix)
        )
        for suffix in (".csv", ".tsv", ".json", ".jsonl", ".parquet")
    },
    **{
        f"lines {name}": Reader(
            partial(make_labelled, name=name),
            name,
            partial(lambda folder, name: len(read_examples(folder / name).rows), name=name),
        )
        for name in LABELLED
    },
    **{
        f"instructions {name}": Reader(
            partial(make_table_of, TASKS, name=name),
            name,
            partial(lambda folder, name: len(read_instructions(folder / name).rows), name=name),
        )
        for name in ("rows.json", "rows.csv", "rows.parquet")
    },
    **{
        f"preferences {name}": Reader(
            partial(make_table_of, PAIRS, name=name),
            name,
            partial(lambda folder, name: len(read_preferences(folder / name).rows), name=name),
        )
        for name in ("pairs.json", "pairs.parquet")
    },
    "adapter, settings": Reader(make_adapter, "adapter/adapter_config.json", use_adapter),
    "adapter, weights": Reader(make_adapter, "adapter/adapter_model.safetensors", use_adapter),
    "lambada": Reader(
        make_questions,
        "lambada.jsonl",
        lambda folder: len(read_lambada(folder / "lambada.jsonl", ByteTokenizer())),
    ),
    "hellaswag": Reader(
        make_questions,
        "hellaswag.jsonl",
        lambda folder: len(read_hellaswag(folder / "hellaswag.jsonl", ByteTokenizer())),
    ),
    **{
        f"packed {name}": Reader(
            partial(make_packed, name=name), name, partial(use_texts, name=name)
        )
        for name in ("text.txt.gz", "texts.zip")
    },
    "text": Reader(make_text, "text.txt", partial(use_texts, name="text.txt")),
    "spans": Reader(
        make_text, "spans.tsv", partial(use_texts, name="text.txt", boundaries="spans.tsv")
    ),
    "metrics": Reader(
        make_metrics, "metrics.jsonl", lambda folder: JsonlRecorder(folder, 10) and None
    ),
    "location": Reader(
        make_source, "raw/location.json", partial(lambda f: source_path(read_artifact(f / "raw")))
    ),
    "settings": Reader(
        make_config, "config.toml", lambda folder: load_config("tiny", folder / "config.toml")
    ),
    "named sources": Reader(make_config, "sources.toml", use_sources),
}


@pytest.mark.parametrize("name", READERS)
def test_a_changed_file_is_refused_in_one_sentence_or_read(
    name: str,
    tmp_path: Path,
    fuzz_cases: int,
    count: Callable[[str, int], None],
    mutate: Callable[[bytes, random.Random, str], bytes],
    limited: Callable[[], AbstractContextManager[None]],
) -> None:
    reader = READERS[name]
    reader.make(tmp_path)
    file = tmp_path / reader.file
    content, expected = file.read_bytes(), reader.read(tmp_path)
    failures: list[str] = []
    for number in range(fuzz_cases):
        rng = random.Random(f"{name} {number}")
        changed = mutate(content, rng, file.name)
        file.write_bytes(changed)
        try:
            with limited():
                reader.seal(tmp_path)
                found = reader.read(tmp_path)
            if reader.checked and found != expected:
                failures.append(f"case {number}: read as something else")
        except GPTCoreError as error:
            message = str(error)
            if not message.isprintable() or len(message) > MAX_MESSAGE:
                failures.append(f"case {number}: no sentence: {message[:300]!r}")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            failures.append(f"case {number}: {describe(error)}")
    count("fuzzed files", fuzz_cases)
    assert not failures, "\n".join([f"{len(failures)} of {fuzz_cases}", *failures[:12]])


def describe(error: BaseException) -> str:
    """An error and where the project's code raised it."""
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if "gpt_core" in f.filename or "tasks" in f.filename
    ]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} at {place}: {str(error)[:150]!r}"
