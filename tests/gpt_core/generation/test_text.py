from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gpt_core.artifact import to_json_value
from gpt_core.config import DecodingConfig, GPTConfig
from gpt_core.data import TEMPLATES
from gpt_core.errors import CheckpointError
from gpt_core.files import write_json
from gpt_core.generation import continue_text, stream, stream_text
from gpt_core.models import GPT, allocate_model, build_model, load_model, save_weights
from gpt_core.tokenizers import ByteTokenizer

MakeCheckpoint = Callable[..., Path]
TOKENIZER = ByteTokenizer()
GREEDY = DecodingConfig(temperature=0.0, max_new_tokens=40)


def speller(text: str, start: int) -> GPT:
    """A GPT that emits the bytes of a text from a position on, whatever it has read, and ends."""
    token_ids = [*TOKENIZER.encode(text), TOKENIZER.eos_id]
    n = start + len(token_ids)
    model = allocate_model(
        GPTConfig(n_layer=1, n_head=1, n_embd=n, vocab_size=257, context_length=n, tied_head=False)
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.ln_f.weight.fill_(1.0)
        model.wpe.weight.copy_(torch.eye(n))
        for position, token_id in enumerate(token_ids):
            model.lm_head.weight[token_id, start + position] += 1.0
    return model


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> MakeCheckpoint:
    def make(model: GPT, **description: object) -> Path:
        save_weights(model, tmp_path / "model.safetensors")
        write_json(
            tmp_path / "config.json",
            {"kind": "pretrained", "step": 0, "model": to_json_value(model.config), **description},
        )
        TOKENIZER.save(tmp_path / "tokenizer")
        return tmp_path

    return make


def test_pieces_are_complete_characters_and_join_to_the_text() -> None:
    text = "a\u0643\u062a\u0628 \U0001f642!"
    pieces = list(continue_text(speller(text, start=1), TOKENIZER, "z", GREEDY))
    assert "".join(pieces) == text
    assert all("\ufffd" not in piece for piece in pieces)


def test_an_empty_prompt_starts_a_document() -> None:
    assert "".join(continue_text(speller("once", start=0), TOKENIZER, "", GREEDY)) == "once"


def test_a_checkpoint_continues_a_prompt(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = make_checkpoint(speller("nd so on", start=1))
    assert "".join(stream_text(checkpoint, "a", GREEDY)) == "nd so on"


def test_an_instruction_model_is_prompted_with_its_template(
    make_checkpoint: MakeCheckpoint,
) -> None:
    name = sorted(TEMPLATES)[0]
    prompt = TOKENIZER.encode(TEMPLATES[name].format("Say yes.", "or no"))
    config = GPTConfig(
        n_layer=1, n_head=1, n_embd=8, vocab_size=257, context_length=len(prompt) + 50
    )
    checkpoint = make_checkpoint(build_model(config, seed=0), kind="instruction", template=name)
    expected = list(stream(load_model(checkpoint), prompt, GREEDY, TOKENIZER.eos_id))
    answer = "".join(stream_text(checkpoint, "Say yes.", GREEDY, context="or no"))
    assert answer == TOKENIZER.decode(expected)


def test_a_model_that_continues_text_takes_no_input(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = make_checkpoint(speller("nd so on", start=1))
    with pytest.raises(CheckpointError, match="was not tuned on instructions"):
        list(stream_text(checkpoint, "a", GREEDY, context="b"))


def test_a_directory_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a directory"):
        list(stream_text(tmp_path / "none", "a", GREEDY))
    with pytest.raises(CheckpointError, match=r"config\.json does not exist"):
        list(stream_text(tmp_path, "a", GREEDY))


def test_an_unknown_template_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = make_checkpoint(speller("x", start=1), kind="instruction", template="polite")
    with pytest.raises(CheckpointError, match=r"template must be one of alpaca, .*got 'polite'"):
        list(stream_text(checkpoint, "a", GREEDY))


def test_an_incomplete_last_character_is_flushed() -> None:
    ids = TOKENIZER.encode("a\u0643")[:-1]  # its second byte never comes
    model = speller("a\u0643", start=1)
    decoding = DecodingConfig(temperature=0.0, max_new_tokens=len(ids))
    assert "".join(continue_text(model, TOKENIZER, "z", decoding)) == "a\ufffd"


def test_a_prompt_continues_a_document_that_starts_before_it() -> None:
    model = build_model(
        GPTConfig(n_layer=1, n_head=1, n_embd=8, vocab_size=257, context_length=64), seed=1
    )
    expected = list(stream(model, [TOKENIZER.eos_id, *b"ab"], GREEDY, TOKENIZER.eos_id))
    assert "".join(continue_text(model, TOKENIZER, "ab", GREEDY)) == TOKENIZER.decode(expected)
