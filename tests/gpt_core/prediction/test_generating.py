"""A model writes for the rows of a file what it writes for each alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from gpt_core.artifact import Artifact
from gpt_core.config import DecodingConfig, PredictionConfig
from gpt_core.generation import stream_text
from gpt_core.prediction import Prompt, TextGenerator, predict, predict_file
from gpt_core.text import register_source

Write = Callable[[str, "str | bytes"], Path]
DECODING = DecodingConfig(max_new_tokens=9, temperature=0.9, top_k=40, seed=5)


def test_the_prompt_of_each_row_is_continued_as_alone_with_a_seed_of_its_own(
    write_writer: Callable[..., Artifact], source: Write
) -> None:
    model = write_writer()
    prompts = [f"line {n} of {n * 31 % 17} " for n in range(11)]
    path = source("p.csv", "prompt\n" + "".join(f'"{p}"\n' for p in prompts))
    config = PredictionConfig(part_rows=4)
    raw = register_source(path, path.parent / "raw")
    report = predict_file(model, raw, config, DECODING, path.parent / "out")
    rows = pq.read_table(report.directory / "predictions.parquet").to_pylist()
    for number, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        own = replace(DECODING, seed=5 + number)
        alone = "".join(stream_text(model.directory, prompt, own))
        assert (row["prompt"], row["continuation"]) == (prompt, alone)
        assert row["tokens"] == len(prompt.encode()) + 1
        assert row["finish"] in ("stop", "length")
        assert row["answer_tokens"] <= 9
    assert len({row["continuation"] for row in rows}) > 5
    assert report.metrics()["rows"] == 11


def test_an_instruction_is_answered_in_the_template_of_the_model_with_its_input(
    write_writer: Callable[..., Artifact], source: Write
) -> None:
    model = write_writer("short")
    rows = '{"instruction": "Say", "input": "a"}\n{"instruction": "Say it"}\n'
    found = predict(model.directory, source("i.jsonl", rows), decoding=DECODING)
    expected = [
        "".join(stream_text(model.directory, text, replace(DECODING, seed=seed), None, context))
        for text, context, seed in (("Say", "a", 5), ("Say it", "", 6))
    ]
    assert found["answer"].tolist() == expected
    assert found["input"].tolist() == ["a", ""]


def test_a_prompt_that_does_not_fit_is_named_and_the_context_ends_a_text(
    write_writer: Callable[..., Artifact],
) -> None:
    model = write_writer()
    long = "x" * 64
    greedy = replace(DECODING, max_new_tokens=30, temperature=0.0)
    found = predict(model.directory, [long, long[:60]], decoding=greedy)
    assert found["error"][0] == "the prompt has 65 tokens, the context of the model 64"
    assert found[["continuation", "finish", "answer_tokens"]].loc[0].isna().all()
    assert (found["finish"][1], found["answer_tokens"][1]) == ("length", 4)


def test_a_greedy_answer_does_not_depend_on_the_prompts_beside_it(
    write_writer: Callable[..., Artifact],
) -> None:
    writer = TextGenerator(write_writer().directory)
    greedy = replace(DECODING, temperature=0.0)
    prompts = [Prompt("ab" * n, "", 0) for n in range(1, 12)]
    together = writer.complete(prompts, greedy)
    assert [each.text for each in together] == [
        writer.complete([prompt], greedy)[0].text for prompt in prompts
    ]
    assert writer.complete([], greedy) == []


def test_beam_search_takes_the_most_probable_text_of_each_prompt(
    write_writer: Callable[..., Artifact],
) -> None:
    model = write_writer().directory
    beams, prompts = replace(DECODING, beams=3, seed=0), ["ab", "a line"]
    found = TextGenerator(model).complete([Prompt(p, "", n) for n, p in enumerate(prompts)], beams)
    assert [each.text for each in found] == ["".join(stream_text(model, p, beams)) for p in prompts]
    assert all(each.finish in ("stop", "length") for each in found)
