"""An answer is never cut without a word: examples that are too long are left out or counted."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpt_core.artifact import Artifact
from gpt_core.config import ClassificationConfig, InstructionConfig, LoRAConfig
from gpt_core.errors import DataError
from gpt_core.finetuning import finetune_classifier
from gpt_core.finetuning.example_encoder import ExampleEncoder
from gpt_core.text import InstructionExample
from gpt_core.tokenizers import ByteTokenizer

CONFIG = InstructionConfig(template="short")
TOKENIZER = ByteTokenizer()
EXAMPLES = [InstructionExample("Say a.", "", "a" * length) for length in range(20)]
PROMPT = len("### Instruction:\nSay a.\n\n### Response:\n")


def encoder(config: InstructionConfig, context: int, recorder: Any) -> ExampleEncoder:
    return ExampleEncoder(TOKENIZER, config, context, recorder)


def test_an_example_that_fits_exactly_keeps_its_end_token(recorder: Any) -> None:
    made = encoder(CONFIG, PROMPT + 19, recorder)
    rows = made.encode(EXAMPLES, "train")
    assert len(rows) == 20
    assert all(targets[-1] == TOKENIZER.eos_id for _, targets in rows)
    assert max(len(token_ids) for token_ids, _ in rows) == PROMPT + 19
    assert made.counts == {"train_examples": 20, "left_out_examples": 0, "cut_examples": 0}
    assert recorder.notices == []


@pytest.mark.parametrize("by_setting", [False, True])
def test_longer_examples_are_left_out_with_a_count(recorder: Any, by_setting: bool) -> None:
    limit = PROMPT + 12
    config = replace(CONFIG, max_tokens=limit) if by_setting else CONFIG
    made = encoder(config, 999 if by_setting else limit, recorder)
    rows = made.encode(EXAMPLES, "train")
    assert len(rows) == 13
    assert all(targets[-1] == TOKENIZER.eos_id for _, targets in rows)
    assert made.counts == {"train_examples": 13, "left_out_examples": 7, "cut_examples": 0}
    assert recorder.notices == [
        "7 of 20 examples of the train part are left out: with their answers they are longer than "
        f"{limit} tokens"
    ]


def test_longer_examples_are_cut_with_a_count_if_that_is_configured(recorder: Any) -> None:
    made = encoder(replace(CONFIG, too_long="cut"), PROMPT + 12, recorder)
    rows = made.encode(EXAMPLES, "train")
    assert sum(targets[-1] != TOKENIZER.eos_id for _, targets in rows) == 7
    assert made.counts == {"train_examples": 20, "left_out_examples": 0, "cut_examples": 7}
    assert "7 of 20 examples of the train part are cut at the end" in recorder.notices[0]


def test_a_prompt_that_fills_the_context_is_left_out_although_cutting_is_configured(
    recorder: Any,
) -> None:
    long = InstructionExample("Say a." * 20, "", "a")
    made = encoder(replace(CONFIG, too_long="cut"), PROMPT + 12, recorder)
    assert len(made.encode([*EXAMPLES[:3], long], "validation")) == 3
    assert made.counts == {"validation_examples": 3, "left_out_examples": 1, "cut_examples": 0}


def test_if_only_answers_are_too_long_cutting_is_advised(recorder: Any) -> None:
    made = encoder(CONFIG, PROMPT + 12, recorder)
    sentence = (
        f"no example fits with its answer into {PROMPT + 12} tokens (the shortest prompt has "
        f"{PROMPT}): use a model with a longer context or set instruction.too_long=cut"
    )
    with pytest.raises(DataError, match=re.escape(sentence)):
        made.encode(EXAMPLES[15:], "train")


def test_a_classifier_counts_the_texts_that_it_cuts(
    checkpoint: Artifact, register: Callable[[str, str], Artifact], out_dir: Any, recorder: Any
) -> None:
    lines = [f"{'ab'[i % 2]}\t{i:02}{'x' * (i // 2)}\n" for i in range(60)]
    config = ClassificationConfig(epochs=1, max_tokens=21)
    source = register("messages.tsv", "".join(lines))
    tuned = finetune_classifier(
        checkpoint, source, config, LoRAConfig(), out_dir, callbacks=[recorder]
    )
    assert tuned.metrics()["cut_examples"] == 20
    assert recorder.notices == ["20 of 60 texts are longer than 21 tokens: their ends are cut"]
