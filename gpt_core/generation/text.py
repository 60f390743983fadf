"""Generate text from text: tokenize the prompt, decode ids, detokenize as they arrive."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from gpt_core.checkpoints import CONFIG, TOKENIZER, read_description
from gpt_core.config import DecodingConfig
from gpt_core.data import find_template
from gpt_core.errors import CheckpointError
from gpt_core.generation.decoding import stream
from gpt_core.models import (
    GPT,
    find_adapter,
    load_adapted,
    load_model,
    read_adapter_description,
)
from gpt_core.tokenizers import StreamDecoder, Tokenizer, load_tokenizer


def continue_text(
    model: GPT, tokenizer: Tokenizer, prompt: str, decoding: DecodingConfig
) -> Iterator[str]:
    """Generate the continuation of a prompt, as a stream of text.

    Args:
        model: The language model.
        tokenizer: The model's tokenizer.
        prompt: The beginning of a document; an empty prompt starts a new one.
        decoding: Sampling, and the maximum number of new tokens.

    Yields:
        Pieces of text; an incomplete character is held back until its last byte.
    """
    token_ids = [tokenizer.eos_id, *tokenizer.encode(prompt)]
    yield from _to_text(stream(model, token_ids, decoding, tokenizer.eos_id), tokenizer)


def stream_text(
    checkpoint: Path,
    prompt: str,
    decoding: DecodingConfig,
    adapter: Path | None = None,
    context: str = "",
) -> Iterator[str]:
    """Generate from a checkpoint: the continuation of a prompt, or the answer to an instruction.

    Args:
        checkpoint: A checkpoint's directory.
        prompt: The beginning of a document; for a model tuned on instructions, the instruction.
        decoding: Sampling, and the maximum number of new tokens.
        adapter: The directory of an adapter for this checkpoint, or of a checkpoint that has one.
        context: The input of the instruction, such as a text that it asks about.

    Yields:
        Pieces of text, as ``continue_text``.

    Raises:
        CheckpointError: If the checkpoint is incomplete, damaged or a classifier's, its prompt
            template is unknown, the adapter does not belong to it, or there is a context for a
            model that was not tuned on instructions.
    """
    if not checkpoint.is_dir():
        raise CheckpointError(f"{checkpoint} is not a directory, so it cannot be a checkpoint")
    template = find_template(template_of(checkpoint, adapter), checkpoint / CONFIG)
    model = load_model(checkpoint) if adapter is None else load_adapted(checkpoint, adapter)
    tokenizer = load_tokenizer(checkpoint / TOKENIZER)
    if template is None:
        if context:
            raise CheckpointError(
                f"{checkpoint} was not tuned on instructions: it continues a prompt, without an "
                "input"
            )
        yield from continue_text(model, tokenizer, prompt, decoding)
        return
    token_ids = tokenizer.encode(template.format(prompt, context))
    yield from _to_text(stream(model, token_ids, decoding, tokenizer.eos_id), tokenizer)


def template_of(checkpoint: Path, adapter: Path | None = None) -> str | None:
    """The prompt template of a model that was tuned on instructions; None for other models.

    Args:
        checkpoint: A checkpoint's directory.
        adapter: The directory of an adapter for it, or of a checkpoint that has one.

    Raises:
        CheckpointError: If one of them is incomplete or damaged.
    """
    tuned = None if adapter is None else read_adapter_description(find_adapter(adapter))
    return (tuned and tuned.checkpoint.template) or read_description(checkpoint).template


def _to_text(token_ids: Iterable[int], tokenizer: Tokenizer) -> Iterator[str]:
    decoder = StreamDecoder(tokenizer)
    for token_id in token_ids:
        yield decoder.push(token_id)
    yield decoder.flush()
