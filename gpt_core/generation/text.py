"""Text in, text out: decoding for people, on top of decoding of ids."""

from collections.abc import Iterator
from pathlib import Path

from gpt_core.config import DecodingConfig
from gpt_core.data import TEMPLATES
from gpt_core.errors import CheckpointError
from gpt_core.generation.decoding import stream
from gpt_core.models import GPT, load_model, read_model_config
from gpt_core.tokenizers import StreamDecoder, Tokenizer, load_tokenizer


def continue_text(
    model: GPT, tokenizer: Tokenizer, prompt: str, decoding: DecodingConfig
) -> Iterator[str]:
    """What a model goes on with, piece by piece; an empty prompt starts a document.

    Args:
        model: The language model.
        tokenizer: The model's.
        prompt: What to go on from.
        decoding: How tokens are chosen.

    Yields:
        Pieces of text; a character is held back until all its bytes are there.
    """
    decoder = StreamDecoder(tokenizer)
    token_ids = [tokenizer.eos_id, *tokenizer.encode(prompt)]
    for token_id in stream(model, token_ids, decoding, tokenizer.eos_id):
        yield decoder.push(token_id)
    yield decoder.flush()


def stream_text(checkpoint: Path, prompt: str, decoding: DecodingConfig) -> Iterator[str]:
    """What a checkpoint's model goes on with, or answers if it was tuned on instructions.

    Args:
        checkpoint: A checkpoint's directory.
        prompt: What to go on from, or the instruction.
        decoding: How tokens are chosen.

    Raises:
        CheckpointError: If the checkpoint is incomplete, damaged, a classifier's, or asked in an
            unknown wording.
    """
    if not checkpoint.is_dir():
        raise CheckpointError(f"{checkpoint} is not a directory, so it cannot be a checkpoint")
    description = read_model_config(checkpoint)
    model = load_model(checkpoint)
    tokenizer = load_tokenizer(checkpoint / "tokenizer")
    if description.get("kind") != "instruction":
        yield from continue_text(model, tokenizer, prompt, decoding)
        return
    template = TEMPLATES.get(description.get("template", ""))
    if template is None:
        known = ", ".join(sorted(TEMPLATES))
        raise CheckpointError(
            f"{checkpoint / 'config.json'}: template must be one of {known}, "
            f"got {description.get('template')!r}"
        )
    asked = template.format(prompt)
    decoder = StreamDecoder(tokenizer)
    for token_id in stream(model, tokenizer.encode(asked), decoding, tokenizer.eos_id):
        yield decoder.push(token_id)
    yield decoder.flush()
