"""Predictions of whole files: what is read, what is written, and the same bytes after a stop."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from gpt_core.artifact import REPORT, Artifact
from gpt_core.config import DecodingConfig, PredictionConfig
from gpt_core.data import pad
from gpt_core.errors import DataError
from gpt_core.files import read_json
from gpt_core.models import load_classifier
from gpt_core.prediction import iter_predictions, predict, predict_file, prediction
from gpt_core.text import TableRow, register_source

Write = Callable[[str, "str | bytes"], Path]
SMALL = PredictionConfig(part_rows=8, batch_size=3)


def run(
    checkpoint: Artifact, path: Path, config: PredictionConfig = SMALL, out: str = "out"
) -> Artifact:
    raw = register_source(path, path.parent / "raw" / path.name)
    return predict_file(checkpoint, raw, config, DecodingConfig(), path.parent / out)


def test_probabilities_are_the_calibrated_ones_of_the_model_in_the_order_of_the_rows(
    classifier: Artifact, source: Write
) -> None:
    """Against the model itself, one text at a time and not in windows of its own."""
    draw = random.Random(8)
    texts = ["".join(draw.choices("abc هذا é", k=draw.randint(1, 70))) + "." for _ in range(30)]
    path = source("texts.csv", "id,text\n" + "".join(f"{n},{t}\n" for n, t in enumerate(texts)))
    config = PredictionConfig(part_rows=8, batch_size=3, keep=("id",))
    report = run(classifier, path, config)
    rows = pq.read_table(report.directory / "predictions.parquet").to_pylist()
    model, labels = load_classifier(classifier.directory)
    assert [row["text"] for row in rows] == texts
    assert [row["id"] for row in rows] == [str(n) for n in range(30)]
    assert [row["row"] for row in rows] == list(range(30))
    for row, text in zip(rows, texts, strict=True):
        with torch.inference_mode():
            (expected,) = model.probabilities(*pad([list(text.encode())], 256)).tolist()
        found = [row[f"probability_{label}"] for label in labels]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        assert row["predicted"] == labels[int(np.argmax(expected))]
        assert row["probability"] == max(found)
        assert (row["tokens"], row["tokens_cut"]) == (len(text.encode()), 0)
    assert len({row["predicted"] for row in rows}) == 2


def test_a_text_that_is_longer_than_the_model_reads_is_cut_and_counted(
    write_classifier: Callable[..., Artifact], source: Write
) -> None:
    report = run(write_classifier(max_tokens=10), source("a.csv", f"text\n{'x' * 25}\nshort\n"))
    rows = pq.read_table(report.directory / "predictions.parquet").to_pylist()
    assert [row["tokens_cut"] for row in rows] == [15, 0]
    assert [row["tokens"] for row in rows] == [25, 5]
    metrics = report.metrics()
    assert (metrics["rows_cut"], metrics["tokens_cut"], metrics["tokens"]) == (1, 15, 30)


def test_rows_that_cannot_be_read_stay_in_their_place_with_the_reason(
    classifier: Artifact, source: Write
) -> None:
    lines = [b"id,text", b"1,good", b"2", b"3,bad \xff byte", b"4,  ", b'5,"a"b', b"6,fine", b""]
    path = source("broken.csv", b"\n".join(lines))
    config = PredictionConfig(part_rows=2, keep=("id",))
    report = run(classifier, path, config)
    rows = pq.read_table(report.directory / "predictions.parquet").to_pylist()
    assert [row["error"] for row in rows] == [
        None,
        "line 3: 1 fields, the header has 2",
        "line 4: 'text' has the byte 0xff, which predict.encoding does not have",
        "line 5: 'text' is blank",
        "line 6: not a valid row: ',' expected after '\"'",
        None,
    ]
    assert [row["predicted"] is None for row in rows] == [False, True, True, True, True, False]
    assert [row["id"] for row in rows] == ["1", None, "3", "4", None, "6"]
    assert report.metrics()["unreadable_rows"] == 4
    assert read_json(report.directory / REPORT)["problems"] == [
        row["error"] for row in rows if row["error"]
    ]


def test_labels_of_the_source_are_compared_with_the_predictions(
    classifier: Artifact, source: Write
) -> None:
    draw = random.Random(4)
    texts = ["".join(draw.choices("abcdef", k=9)) for _ in range(40)]
    predicted = predict(classifier.directory, texts)["predicted"].tolist()
    wrong = {"ham": "spam", "spam": "ham"}
    labels = [wrong[p] if n % 4 == 0 else p for n, p in enumerate(predicted)]
    labels[-1] = "other"
    text = "label,text\n" + "".join(f"{a},{b}\n" for a, b in zip(labels, texts, strict=True))
    report = run(classifier, source("labelled.csv", text))
    metrics = report.metrics()
    assert metrics["accuracy"] == pytest.approx(29 / 39)
    assert metrics["labelled_rows"] == 39
    assert metrics["unknown_labels"] == 1
    content = read_json(report.directory / REPORT)
    assert content["unknown_labels"] == {"other": 1}
    fractions = {row["label"]: row["fraction"] for row in content["labels"]}
    assert fractions == {label: predicted.count(label) / 40 for label in ("ham", "spam")}


def test_every_format_gives_the_same_predictions(classifier: Artifact, source: Write) -> None:
    texts = ["one", "two, with comma", "ثلاثة"]
    quoted = "".join(f'"{text}"\n' for text in texts)
    objects = "".join(f'{{"text": "{text}"}}\n' for text in texts)
    array = "[" + ",".join(f'"{text}"' for text in texts) + "]"
    table = source("a.csv", "text\n" + quoted)
    files = [
        table,
        source("b.tsv", "text\n" + "\n".join(texts)),
        source("c.jsonl", objects),
        source("d.json", array),
        source("e.txt", "\n\n".join(texts)),
        source("f.csv", "message\n" + quoted),
        source("g.tsv", "".join(f"ham\t{text}\n" for text in texts)),  # no header
    ]
    (parts,) = iter_predictions(classifier.directory, table)
    pq.write_table(parts.select(["text"]), source("h.parquet", ""))
    files.append(table.with_name("h.parquet"))
    columns = ["row", "text", "predicted", "probability", "error"]
    expected = predict(classifier.directory, texts)[columns]
    for file in files:
        assert predict(classifier.directory, file)[columns].equals(expected), file


def test_the_csv_has_the_rows_of_the_parquet_and_no_formula(
    classifier: Artifact, source: Write
) -> None:
    texts = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "plain = text", 'a "quote", x']
    path = source("f.jsonl", "".join(f"{json.dumps(text)}\n" for text in texts))
    report = run(classifier, path)
    with (report.directory / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [f"'{t}" for t in texts[:5]] + texts[5:]
    exact = pq.read_table(report.directory / "predictions.parquet").to_pylist()
    assert [row["text"] for row in exact] == texts
    for row, other in zip(rows, exact, strict=True):
        assert np.float32(row["probability"]) == np.float32(other["probability"])
        assert row["predicted"] == other["predicted"]
    plain = run(classifier, path, PredictionConfig(escape_formulas=False), "plain")
    with (plain.directory / "predictions.csv").open(newline="", encoding="utf-8") as file:
        assert [row["text"] for row in csv.DictReader(file)] == texts


def test_a_stopped_run_continues_with_its_parts_and_gives_the_same_bytes(
    classifier: Artifact, source: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source("many.txt", "\n".join(f"text {n * 7919 % 101}" for n in range(60)))
    whole = run(classifier, path)
    raw = register_source(path, path.parent / "raw" / path.name)
    out = path.parent / "stopped"
    done: list[int] = []

    def stop(unit: str, rows: int, total: int | None) -> None:
        assert (unit, total) == ("rows", 60)
        done.append(rows)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(classifier, raw, SMALL, DecodingConfig(), out, progress=stop)
    assert done == [8, 16, 24]
    kept = {p: p.stat().st_mtime_ns for p in out.glob("step-*/part.parquet")}
    assert len(kept) == 3
    damaged = sorted(kept)[1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    computed: list[int] = []
    real = prediction.predict_part

    def spy(table: object, rows: list[TableRow], *rest: object) -> object:
        computed.append(rows[0].number)
        return real(table, rows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(prediction, "predict_part", spy)
    again = predict_file(classifier, raw, SMALL, DecodingConfig(), out)
    assert computed == [8, 24, 32, 40, 48, 56]  # the damaged part, and those after the stop
    assert again.fingerprint == whole.fingerprint
    for name in ("predictions.parquet", "predictions.csv", REPORT):
        assert (again.directory / name).read_bytes() == (whole.directory / name).read_bytes()
    assert {p.name for p in out.iterdir()} == {p.name for p in whole.directory.iterdir()}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,message,x\n1,a,b\n", "no column 'text'; it has id, message, x; set predict"),
        ("a.csv", "", "is empty"),
        ("a.csv", "text\n", "no row of the source could be predicted: it has none"),
        ("a.csv", 'text\n" open\nand on\n', "line 2: a quote that opens there is not closed"),
        ("a.jsonl", '{"body": "x"}\n', "no 'text' in its first records; the first has body"),
        ("a.jsonl", '{"text": " "}\n', "no row .* could be predicted: line 1: 'text' is blank"),
        ("a.xlsx", "PK", "rows are read from .csv"),
        ("a.parquet", "PAR1", "not an intact Parquet"),
        ("a.csv", b"text\n\x00\x01", "binary"),
    ],
)
def test_a_file_that_cannot_be_predicted_is_one_sentence(
    name: str, content: "str | bytes", message: str, classifier: Artifact, source: Write
) -> None:
    with pytest.raises(DataError, match=message):
        run(classifier, source(name, content))


def test_a_kept_column_must_be_there_and_have_a_name_of_its_own(
    classifier: Artifact, source: Write
) -> None:
    path = source("a.csv", "text,predicted\na,b\n")
    for keep, message in (("id", "no column 'id'.*predict.keep"), ("predicted", "rename it")):
        with pytest.raises(DataError, match=message):
            run(classifier, path, PredictionConfig(keep=(keep,)))
