"""Inputs that cannot be used, through the real command: one sentence, exit code 2, nothing left."""

import gzip
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from several import SEVERAL

from gpt_core.artifact import new_artifact
from gpt_core.files import write_json

SETTINGS = r"""
run              optimizer.learning_rate=inf              learning_rate must be a number, got inf
run              optimizer.learning_rate=nan              learning_rate must be a number, got nan
run              optimizer.learning_rate=-1               learning_rate must be greater than 0
pretrain         optimizer.learning_rate=1e400            learning_rate must be a number, got inf
pretrain         optimizer.weight_decay=-0.1              weight_decay must be at least 0
pretrain         optimizer.beta1=1                        beta1 must be in \[0, 1\)
pretrain         optimizer.epsilon=0                      epsilon must be greater than 0
pretrain         optimizer.max_grad_norm=inf              max_grad_norm must be a number
pretrain         optimizer.kind=sgd                       must be one of adamw, muon
run              training.seed=18446744073709551616       training.seed must be a number of at most
pretrain         training.seed=-1                         seed must be at least 0
pretrain         loader.seed=99999999999999999999         loader.seed must be a number of at most
evaluate         generation.seed=9223372036854775808      generation.seed must be a number of
classify         classification.seed=1e5                  seed must be a whole number, got 100000.0
instruct         instruction.seed=-5                      seed must be at least 0
pretrain         training.steps=0                         steps must be at least 1
pretrain         training.steps=many                      steps must be a whole number, got 'many'
pretrain         training.steps=true                      steps must be a whole number, got True
pretrain         training.steps=[]                        steps must be a whole number
pretrain         training.steps=                          steps must be a whole number, got ''
pretrain         training.tokens_per_step=100             must be a multiple of .* try training
pretrain         training.micro_batch=3                   must be a multiple of
pretrain         model.context_length=100                 must be a multiple of
pretrain         schedule.warmup_steps=300000             warmup_steps \(300000\) must
pretrain         schedule.final_ratio=2                   final_ratio must be in \[0, 1\]
pretrain         schedule.decay_share=0                   decay_share must be greater than 0
pretrain         training.ema_decay=1                     ema_decay must be in \[0, 1\)
pretrain         training.spike_factor=nan                spike_factor must be a number
pretrain         training.patience=0                      patience must be at least 1
pretrain         training.keep_last=0                     keep_last must be at least 1
pretrain         model.n_layer=0                          n_layer must be at least 1
pretrain         model.n_layer=9223372036854775807        n_layer must be at most 10000
pretrain         model.n_embd=99999999                    n_embd must be at most
pretrain         model.n_embd=-8                          n_embd must be at least 1
pretrain         model.n_head=3                           must be a multiple of n_head \(3\)
pretrain         model.dropout=1                          dropout must be in \[0, 1\)
pretrain         model.layer_norm_epsilon=0               layer_norm_epsilon must be greater than 0
pretrain         launch.processes=0                       processes must be at least 1
pretrain         launch.processes=7                       7 processes cannot share a step
pretrain         launch.strategy=zero                     must be one of auto, ddp, fsdp
pretrain         compute.precision=fp16                   must be one of auto, fp32, bf16
run              compute.device=mps                       compute.device: .* no mps device
classify         classification.device=mps                classification.device: .* no mps device
prepare          tokenizer.vocab_size=10                  vocab_size must be at least 261
prepare          tokenizer.vocab_size=99999999999         vocab_size must be at most 16777216
prepare          tokenizer.kind=wordpiece                 tokenizer.kind must be one of
prepare          tokenizer.character_coverage=0           character_coverage must be in \(0, 1\]
prepare          tokenizer.shrinking_factor=1             shrinking_factor must be in \(0, 1\)
prepare          reading.encoding=utf-9                   must be one that Python knows
prepare          reading.encoding=rot13                   must be one that Python knows
prepare          reading.format=xml                       must be one of auto, text, openiti, json
prepare          reading.boundaries=../x                  name of a file beside the text
prepare          reading.text_column=                     text_column must name something
prepare          cleaning.validation_share=1              validation_share must be in \[0, 1\)
prepare          cleaning.test_share=0.96                 must leave text to train on
prepare          cleaning.language=french                 must be one of auto, arabic, english
prepare          cleaning.min_characters=0                min_characters must be at least 1
prepare          cleaning.strip_digits=yes                strip_digits must be true or false
prepare          shards.workers=-1                        workers must be at least 0
prepare          shards.tokens_per_shard=0                tokens_per_shard must be at least 1
pretrain         loader.stride=0                          stride must be at least 1
evaluate         evaluation.split=train                   must be one of validation, test
evaluate         evaluation.batch_size=0                  batch_size must be at least 1
evaluate         generation.temperature=-1                temperature must be at least 0
evaluate         generation.top_p=1.1                     top_p must be in \(0, 1\]
classify         classification.epochs=0                  epochs must be at least 1
classify         classification.learning_rate=inf         learning_rate must be a number, got inf
classify         classification.test_share=0.95           must be below 1, got 0.1 \+ 0.95
classify         classification.text_column=label         label_column must differ
classify         classification.trainable_blocks=99       the model has 4 blocks
classify         lora.rank=100000                         the model's matrices are 128 wide
classify         lora.alpha=0                             alpha must be greater than 0
instruct         instruction.template=chatml              must be one of alpaca, short
instruct         instruction.too_long=split               must be one of leave-out, cut
instruct         instruction.validation_share=-0.1        validation_share must be in \[0, 1\)
compare-tokenizers  comparison.tokenizers=wordpiece        there is no kind 'wordpiece'
compare-tokenizers  comparison.tokenizers=bpe:many         after the colon comes a size
compare-tokenizers  comparison.tokenizers=bpe:3            vocab_size must be at least 257
compare-tokenizers  comparison.tokenizers=[]               must name at least one
compare-tokenizers  comparison.tokenizers=no/such          no/such is not a directory
compare-tokenizers  comparison.max_bytes=0                 max_bytes must be at least 1
compare-models   benchmarks.limit=0                       limit must be at least 1
compare-models   benchmarks.limit=5                       must name at least one checkpoint
import-gpt2      size=7B                                  gpt2.size must be one of 124M
import-gpt2      gpt2.source=hub:gpt2                     must be hub:OWNER/NAME
import-gpt2      gpt2.source=nowhere                      gpt2.source must be a directory
import-gpt2      gpt2.mirrors=[]                          mirrors must name at least one
import-gpt2      gpt2.mirrors=ftp://host                  addresses that begin with https://
run              cleaning.test_share=0                    leaves nothing to evaluate on
run              source=                                  source must name something
run              source=no/such.txt                       neither a file or folder nor a named
run              source=~nobody-of-that-name/x            home directory
run              source={long}                            neither a file or folder
run              source=/dev/null                         is a pipe or a device
run              source=/dev/zero                         is a pipe or a device
run              classification.source=/dev/urandom       is a pipe or a device
run              source=bukhari                           not published as one file
run              checkpoint=                              checkpoint must name something
release          checkpoint={dir}/nowhere                 not a directory
release          checkpoint={long}                        File name too long
release          checkpoint={dir}/classifier              is a classifier, but a language model
classify         checkpoint={dir}/classifier              is a classifier, but a language model
evaluate         checkpoint={dir}/tokenizer               is a tokenizer artifact, but a checkpoint
instruct         checkpoint={dir}/unfinished              no manifest.json
classify         checkpoint={dir}/nonsense                is not a manifest of gptflow
run              name=a/b                                 name must be ASCII letters
run              training=5                               training is a section
run              training.stepss=5                        did you mean training.steps
run              steps                                    'steps' is not a setting
run              =5                                       is not a setting
run              a.b.c=1                                  there is no setting a
run              training.steps.x=5                       steps must be a whole number
"""
"""Settings that are refused: the flow, the setting, a part of the sentence."""

TEXTS = r"""
empty.txt                      is empty: there is nothing to read
blank.txt                      holds nothing but white space
binary.txt                     is a binary file, not text
latin1.txt                     is not utf-8: byte 0xe9 at offset 3 \(line 1\)
utf16.txt                      is utf-16 text, not utf-8: set reading.encoding=utf-16
program.exe                    cannot read .exe files; set reading.format
short.txt                      has at most 11 tokens to train on, but model.context_length=128
one.txt                        no document of .* falls into the test part, of 1 in all
object.json                    leaves no document to train on
cut.json                       line 1: not valid JSON
deep.json                      JSON that cannot be read
number.json                    JSON that cannot be read
other.jsonl                    line 1: no text under 'text'; it has body; set reading.text_column
no_text.jsonl                  'text' holds no text but 3
cut.jsonl                      line 2: not valid JSON
other.csv                      has no column 'text'; it has label, body; set reading.text_column
unclosed.csv                   line 2: not a valid table: unexpected end of data
stray.csv                      line 2: not a valid table
ragged.csv                     line 3: 3 fields, the header has 2
header.csv                     nothing but white space
not_parquet.parquet            is not an intact Parquet file
cut.parquet                    is not an intact Parquet file
numbers.parquet                'text' holds no text but 1
other.parquet                  has no column 'text'; it has body
cut.txt.gz                     is not an intact .gz archive
not.txt.gz                     is not an intact .gz archive
not.zip                        is not an intact .zip archive
encrypted.zip                  is encrypted: unpack the archive
program.zip                    cannot read .exe files
broken                         is a link to nothing
piped                          is a pipe, a socket or a device
fifo                           is a pipe or a device
loop.txt                       neither a file or folder
name.zip                       has a member whose name is not UTF-8
null.jsonl                     'text' holds no text but None
hidden                         is empty: there is nothing to read
wrong                          cannot read .exe files
"""
"""Texts that are refused: the file, a part of the sentence."""

TABLES = r"""
empty.txt                      is empty: there is nothing to read
folder                         has only the label 'b'
fifo                           is a pipe or a device
nulls.json                     30 of 60 rows of .* have no 'label' \(first entry 30\)
blanks.csv                     have no 'text' \(first line 32\): give each row a value
one_label.tsv                  has only the label 'ham'
header_only.csv                has no example
two_rows.csv                   the validation part has no example of 'ham', of which there are 1
rare.tsv                       part has no example of 'eggs', of which there are 1
two_names.tsv                  no column 'text'; it has sentiment, review
case.tsv                       no column 'text'; it has Label, Text
three.tsv                      no column 'text'; it has a, b, c
headerless.csv                 no column 'text'; it has ham, hello
unclosed.csv                   line 2: not a valid table
ragged.csv                     line 3: 3 fields, the header has 2
latin1.csv                     is not utf-8: byte 0xe9
utf16.txt                      has only the label 'some'
binary.txt                     is a binary file, not text
object.json                    must hold a JSON array
list_label.json                'label' holds no text but \['ham'\]
cut_row.jsonl                  line 2: not valid JSON
surrogate_row.json             has half of a surrogate pair
strings.json                   entry 0 has no 'text'; it has str
not_parquet.parquet            is not an intact Parquet file
other.parquet                  has no column
packed.csv.gz                  unpack it
book.xlsx                      unpack it
bars.csv                       no column 'text'; it has text|label
nowhere.csv                    neither a file or folder
"""
"""Tables of labelled texts that are refused."""

INSTRUCTIONS = r"""
empty.txt                      is empty: there is nothing to read
nine.json                      9 examples leave none for the validation part
folder                         is a folder: give the file in it
no_output.json                 entry 0: no text under 'output'; it has instruction
null_output.json               15 of 30 rows of .* have no 'output' \(first entry 15\)
number_output.json             entry 0: no text under 'output'
object.json                    must hold a JSON array
cut.json                       line 1: not valid JSON
cut_task.jsonl                 line 2: not valid JSON
deep.json                      JSON that cannot be read
surrogate_output.json          'output' has half of a surrogate pair
strings.json                   no text under 'instruction'; it has str
latin1.jsonl                   is not utf-8
utf16.txt                      line 1: not valid JSON
none.json                      holds no instruction
headerless.csv                 no column 'instruction'; it has ham, hello
other.parquet                  no column 'instruction'; it has body
"""
"""Files of instructions that are refused."""

OTHERS = r"""
run --preset huge                                      there is no preset 'huge'
run --preset                                           requires an argument
run --nonsense                                         No such option
fly                                                    No such command
run --config {dir}/nowhere.toml                        nowhere.toml does not exist
run --config {dir}/folder                              is a folder: give a TOML file
run --config {dir}/bad.toml                            is not valid TOML
run --config {dir}/binary.txt                          is not valid TOML|is not
run --config {dir}/unknown.toml                        there is no setting training.stepz
run --config {dir}/type.toml                           training.steps must be a whole number
run --config {dir}/fifo                                is a pipe or a device: give a TOML file
up --cron nonsense                                     --cron must be minute, hour, day
up --cron 0_3_*_*                                      --cron must be minute, hour, day
up --cron 61_3_*_*_*                                   bad minute
up --cron 0_24_*_*_*                                   bad hour
up --cron 0_0_30_2_*                                   bad day-of-month
up --cron 0_3_*_*_x!                                   bad day-of-week
up --preset huge                                       there is no preset 'huge'
up training.steps=0                                    steps must be at least 1
submit fly                                             there is no flow 'fly'
submit run                                             no Prefect server of gptflow is running
generate one two                                       one prompt is expected
generate heat=1 prompt                                 there is no setting generation.heat
generate top_k=0 prompt                                top_k must be at least 1
generate prompt                                        there is no language model yet
generate --checkpoint {dir}/nowhere prompt             is not a directory
generate --checkpoint {long} prompt                    File name too long
generate --checkpoint {dir}/tokenizer prompt           is a tokenizer artifact
generate --checkpoint {dir}/classifier prompt          is a classifier|is not a checkpoint|lacks
doctor now                                             unexpected extra argument
down now                                               unexpected extra argument
import-gpt2 --dry-run gpt2.source={dir}/folder         no|config
import-gpt2 --dry-run gpt2.source={dir}/bert           model_type must be 'gpt2', not 'bert'
import-gpt2 --dry-run gpt2.source={dir}/no_vocabulary  vocab
import-gpt2 --dry-run gpt2.source={dir}/hidden         is empty: there is nothing to read
prepare --dry-run source={dir}/cuts/a.txt reading.boundaries=cuts.tsv  no column 'char_offset'
prepare --dry-run source={dir}/one.txt reading.encoding=utf-16  is not utf-16
prepare --dry-run source={dir}/one.txt reading.format=json  not valid JSON
prepare --dry-run source={dir}/one.txt reading.format=csv  has no column 'text'
prepare --dry-run source={dir}/one.txt reading.format=parquet  is not an intact Parquet file
prepare --dry-run source={dir}/one.txt cleaning.min_characters=9999  leaves no document to train on
evaluate --dry-run source={dir}/many.txt reading.split=file  falls into the test part, of 1 in all
instruct tokenizer.kind=byte tokenizer.vocab_size=none instruction.template=alpaca  no prompt leaves
up --cron 0_3_*_*_* source={dir}/nowhere               neither a file or folder
prepare --dry-run cleaning.language=none source={dir}/surrogate.jsonl  half of a surrogate pair
prepare --dry-run tokenizer.kind=gpt2 tokenizer.vocab_size=none    tokenizer.directory must name
prepare --dry-run tokenizer.kind=gpt2 tokenizer.vocab_size=none tokenizer.directory={dir}/folder  no
"""
"""Other commands, and runs that are refused without ``--dry-run`` too."""

BENCHMARKS = r"""
lambada      {dir}/nowhere.jsonl      neither a file or folder
lambada      {dir}/empty.txt          is empty
lambada      {dir}/cut.jsonl          line 2
lambada      {dir}/one_word.jsonl     line 1: 'text' must be a passage of several words
hellaswag    {dir}/other.jsonl        line 1: there is no 'ctx'
hellaswag    {dir}/no_choice.jsonl    line 1: there is no choice 4
hellaswag    {dir}/folder             is a folder
text         {dir}/blank.txt          holds nothing but white space
text         {dir}/latin1.txt         is not UTF-8 text
text         {dir}/fifo               is a pipe or a device
"""


def cells(table: str) -> list[list[str]]:
    """The cells of each line, divided by two or more spaces."""
    return [re.split(r" {2,}", line.strip()) for line in table.strip().splitlines()]


def jsonl(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def labelled(n: int, **changed: object) -> list[dict[str, object]]:
    return [{"text": f"text {i}", "label": ("ham", "spam")[i % 2], **changed} for i in range(n)]


def asked(n: int, **changed: object) -> list[dict[str, object]]:
    return [{"instruction": f"Say {i}.", "output": str(i), **changed} for i in range(n)]


def files() -> dict[str, str | bytes]:
    """The content of each file by its name."""
    table = "".join(f"{i % 2}\tsentence {i}\n" for i in range(40))
    comma = "".join(f"{('ham', 'spam')[i % 2]},text {i}\n" for i in range(30))
    whole = gzip.compress(b"some text\n\nmore text\n" * 50)
    return {
        "empty.txt": "", "blank.txt": " \n\n\t\n", "binary.txt": b"text\0\1\2" * 20,
        "latin1.txt": "caf\xe9\n".encode("latin-1"), "utf16.txt": "some text".encode("utf-16"),
        "program.exe": "text", "short.txt": "some text.", "one.txt": "one document. " * 60,
        "object.json": '{"text": "a", "instruction": "a"}', "cut.json": '[{"text": "a"',
        "deep.json": "[" * 99_999, "number.json": "[" + "1" * 9_999 + "]",
        "other.jsonl": jsonl({"body": "a"}), "no_text.jsonl": jsonl({"text": 3}),
        "surrogate.jsonl": r'{"text": "a \ud83d b"}',
        "cut.jsonl": '{"text": "several words"}\n{"te',
        "other.csv": "label,body\nham,a\n", "unclosed.csv": 'label,text\nham,"abc\nspam,hello\n',
        "stray.csv": 'label,text\nham,"a"b\n', "ragged.csv": "label,text\nham,a\nham,a,b\n",
        "header.csv": "label,text\n", "not_parquet.parquet": "not parquet",
        "cut.txt.gz": whole[:40], "not.txt.gz": b"not gz", "not.zip": b"not zip",
        ".hidden.txt": "text", "nulls.json": json.dumps(labelled(30) + labelled(30, label=None)),
        "blanks.csv": f"label,text\n{comma}" + "ham, \n" * 9,
        "one_label.tsv": "ham\ta\nham\tb\n",
        "header_only.csv": "label,text\n", "two_rows.csv": "label,text\nham,a\nspam,b\n",
        "rare.tsv": f"label\ttext\n{table}eggs\ta\n",
        "two_names.tsv": f"sentiment\treview\n{table}", "case.tsv": f"Label\tText\n{table}",
        "three.tsv": "a\tb\tc\n", "headerless.csv": "ham,hello\nspam,hi\n",
        "latin1.jsonl": "caf\xe9\n".encode("latin-1"),
        "latin1.csv": "label,text\nham,caf\xe9\n".encode("latin-1"),
        "list_label.json": json.dumps(labelled(20, label=["ham"])),
        "surrogate_row.json": json.dumps(labelled(20, text="a \ud83d b")),
        "cut_row.jsonl": jsonl(*labelled(1)) + '{"text',
        "cut_task.jsonl": jsonl(*asked(1)) + '{"in',
        "packed.csv.gz": gzip.compress(b"label,text\n"), "book.xlsx": b"PK\3\4",
        "bars.csv": "text|label\na|ham\n", "null.jsonl": jsonl({"text": None}),
        "many.txt": "some words\n\n" * 500_000, "cuts/a.txt": "text", "cuts/cuts.tsv": "a\tb\n",
        "strings.json": '["a", "b"]', "nine.json": json.dumps(asked(9)),
        "no_output.json": '[{"instruction": "a"}]', "none.json": "[]",
        "null_output.json": json.dumps(asked(15) + asked(15, output=None)),
        "number_output.json": json.dumps(asked(20, output=3)),
        "surrogate_output.json": json.dumps(asked(20, output="\udc00")),
        "bad.toml": "[training\nsteps=3", "unknown.toml": "[training]\nstepz = 3",
        "type.toml": '[training]\nsteps = "3"', "one_word.jsonl": jsonl({"text": "word"}),
        "no_choice.jsonl": jsonl({"ctx": "a", "endings": ["b", "c"], "label": 4}),
        "folder/a.txt": "", "folder/b.txt": "some text", "wrong/program.exe": "text",
        "hidden/.a.txt": "text", "nonsense/manifest.json": "[]", "unfinished/config.json": "{}",
        "bert/config.json": '{"model_type": "bert"}',
        "no_vocabulary/config.json": json.dumps(
            {"n_layer": 1, "n_head": 1, "n_embd": 8, "n_positions": 8, "vocab_size": 300}
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of everything that cannot be used."""
    folder = tmp_path_factory.mktemp("bad")
    for name, content in files().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    pq.write_table(pa.table({"text": [1, 2]}), folder / "numbers.parquet")
    pq.write_table(pa.table({"body": ["a"]}), folder / "other.parquet")
    (folder / "cut.parquet").write_bytes((folder / "other.parquet").read_bytes()[:-20])
    with zipfile.ZipFile(folder / "program.zip", "w") as archive:
        archive.writestr("program.exe", "text")
    with zipfile.ZipFile(folder / "encrypted.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    packed = bytearray((folder / "encrypted.zip").read_bytes())
    packed[packed.index(b"PK\x01\x02") + 8] |= 1  # the flag of encryption in the list of members
    (folder / "encrypted.zip").write_bytes(packed)
    with zipfile.ZipFile(folder / "name.zip", "w") as archive:
        archive.writestr("caf\u00e9.txt", "text")
    packed = bytearray((folder / "name.zip").read_bytes())
    (folder / "name.zip").write_bytes(packed.replace("\u00e9".encode(), b"\xff\xff"))
    for name in ("broken", "piped"):
        (folder / name).mkdir()
        (folder / name / "a.txt").write_text("some text")
    (folder / "broken" / "b.txt").symlink_to("nowhere.txt")
    (folder / "loop.txt").symlink_to("loop.txt")
    for fifo in ("fifo", "piped/b.txt"):
        os.mkfifo(folder / fifo)
    shape = {"n_layer": 1, "n_head": 1, "n_embd": 8, "context_length": 8, "vocab_size": 257}
    described = {"kind": "pretrained", "step": 0, "model": shape}
    for name, kind in (("classifier", {"kind": "classifier", "labels": ["a", "b"]}), ("model", {})):
        with new_artifact(folder / name, kind="checkpoint") as draft:
            write_json(draft.directory / "config.json", described | kind)
    with new_artifact(folder / "tokenizer", kind="tokenizer"):
        pass
    return folder


def cases(folder: Path) -> Iterator[tuple[list[str], str]]:
    """Every command with its arguments, and a part of the sentence that it answers."""
    plans = [([flow, "--dry-run", setting], said) for flow, setting, said in cells(SETTINGS)]
    for flow, name, table in (
        ("run", "source", TEXTS),
        ("classify", "classification.source", TABLES),
        ("instruct", "instruction.source", INSTRUCTIONS),
    ):
        for file, said in cells(table):
            plans.append(([flow, "--dry-run", f"{name}={folder / file}"], said))
    for name, file, said in cells(BENCHMARKS):
        given = f"benchmarks.checkpoints={folder / 'model'}"
        plans.append((["compare-models", "--dry-run", given, f"benchmarks.{name}={file}"], said))
    others = [(command.split(" "), said) for command, said in cells(OTHERS)]
    begun = [([word for word in words if word != "--dry-run"], said) for words, said in plans[::9]]
    for words, said in (*plans, *others, *begun):
        filled = [w.replace("{dir}", str(folder)).replace("{long}", "x" * 5000) for w in words]
        yield [w.replace("_", " ") if words[0] == "up" else w for w in filled], said


def tree(home: Path) -> dict[str, tuple[int, int]]:
    """The size and the time of every file and folder."""
    stats = {str(path): path.lstat() for path in (home, *home.rglob("*"))}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def test_every_bad_input_is_one_sentence_and_leaves_nothing(
    folder: Path, tmp_path: Path, project_root: Path, count: Callable[[str, int], None]
) -> None:
    home = tmp_path / "home"
    (home / "data" / "raw").mkdir(parents=True)
    (home / "data" / "raw" / "notes.txt").write_text("of the user")
    before, given = tree(home), list(cases(folder))
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL], cwd=project_root, text=True, capture_output=True,
        env={**own, "GPTFLOW_HOME": str(home), "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
        input=json.dumps([({}, words) for words, _ in given]), encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wrong = []
    for (words, said), (code, out, err) in zip(given, json.loads(done.stdout), strict=True):
        lines = err.splitlines()
        is_sentence = len(lines) == 1 and lines[0].startswith("gptflow: ") and len(err) < 2000
        if code != 2 or out or not is_sentence or not re.search(said, err):
            wrong.append((" ".join(words)[-150:], said, code, out[-200:], err[-500:]))
    assert not wrong, "\n".join(map(str, wrong))
    assert tree(home) == before
    distinct = {" ".join(word for word in words if word != "--dry-run") for words, _ in given}
    assert len(distinct) >= 150
    count("bad inputs through the command", len(distinct))
