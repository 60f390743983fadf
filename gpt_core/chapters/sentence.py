"""The text that is followed: as it was given, cleaned, and as the ids that the model reads."""

from dataclasses import dataclass
from pathlib import Path

from gpt_core.anatomy import cleaning_steps
from gpt_core.callbacks import SAMPLES, read_records
from gpt_core.checkpoints import CONFIG, TOKENIZER, CheckpointDescription, read_description
from gpt_core.config import CleaningConfig
from gpt_core.data import find_template
from gpt_core.errors import DataError
from gpt_core.tokenizers import Tokenizer, load_tokenizer

_ENGLISH = "In winter the old carpenter went to the market and found a letter there."
_MESSAGE = "You have won a free prize, call now to claim it"
_INSTRUCTION = "Write the plural of: tree"
_N_WORDS = 12  # of a sample that becomes the sentence
_START = "⟨start⟩"
_CONTROLS = {"\n": "⏎", "\t": "⇥", " ": "␣"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A text on its way to ids."""

    raw: str
    """As it was given."""

    cleaned: str
    """After the cleaning rules."""

    read: str
    """The text that the model reads: the cleaned one, in the prompt of a model for instructions."""

    token_ids: tuple[int, ...]
    """The ids of that text, with a start token before them where the model is used with one."""

    starts: int
    """1 if the first id is a start token, else 0."""

    names: tuple[str, ...]
    """Each id in visible characters."""


def read_sentence(checkpoint: Path, text: str | None, cleaning: CleaningConfig) -> Sentence:
    """Clean and encode a text as the model of a checkpoint reads it.

    A language model reads the end of a document before it, as in ``generate``, if it fits.

    Args:
        checkpoint: The checkpoint's directory.
        text: The sentence or the instruction; None for a default one.
        cleaning: The rules.

    Raises:
        CheckpointError: If the directory is no checkpoint.
        DataError: If nothing is left of the text, it is longer than the context, or the tokenizer
            has no token for a character of it.
    """
    description = read_description(checkpoint)
    tokenizer = load_tokenizer(checkpoint / TOKENIZER)
    raw = _default(checkpoint, description) if text is None else text
    steps = cleaning_steps(raw, cleaning)
    cleaned = steps[-1].after if steps else raw
    if not cleaned.strip():
        raise DataError(
            f"nothing is left of the text {raw!r:.80} after cleaning: give at least one word"
        )
    template = find_template(description.template, checkpoint / CONFIG)
    read = cleaned if template is None else template.format(cleaned)
    ids = _encode(tokenizer, read, description)
    starts = int(description.kind in ("pretrained", "imported"))
    if starts and len(ids) == description.model.context_length:
        starts = 0
    complete = (tokenizer.eos_id, *ids) if starts else ids
    names = [token_name(tokenizer, token_id) for token_id in ids]
    return Sentence(
        raw=raw, cleaned=cleaned, read=read, token_ids=complete, starts=starts,
        names=(*[_START] * starts, *names),
    )  # fmt: skip


def _encode(tokenizer: Tokenizer, text: str, description: CheckpointDescription) -> tuple[int, ...]:
    ids, context = tokenizer.encode(text), description.model.context_length
    if tokenizer.unk_id is not None and tokenizer.unk_id in ids:
        units = tokenizer.pieces(text)
        unknown = units[ids.index(tokenizer.unk_id)].decode(errors="replace")
        raise DataError(
            f"the model's {tokenizer.kind} tokenizer has no token for {unknown!r:.40}: give a text "
            "of what it was trained on"
        )
    if len(ids) > context:
        raise DataError(
            f"the text has {len(ids)} tokens and the model's context holds {context}: give a "
            "shorter one"
        )
    return tuple(ids)


def token_name(tokenizer: Tokenizer, token_id: int) -> str:
    """A token in visible characters: a space as ␣, half a character as its bytes.

    Args:
        tokenizer: The model's tokenizer.
        token_id: An id of its vocabulary.
    """
    content = tokenizer.token_bytes(token_id)
    if not content:
        special = {value: name for name, value in tokenizer.special_ids.items()}
        return f"⟨{special.get(token_id, token_id)}⟩"
    return visible(content)


def visible(content: bytes) -> str:
    r"""Bytes in visible characters.

    Example:
        >>> visible(b" tree"), visible(b"\xd9")
        ('␣tree', '⟨d9⟩')
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return f"⟨{content.hex(' ')}⟩"
    return "".join(_CONTROLS.get(c, c if c.isprintable() else f"⟨{ord(c):04x}⟩") for c in text)


def _default(checkpoint: Path, description: CheckpointDescription) -> str:
    """A sentence for a model: the beginning of the last text that it wrote in training."""
    if description.kind == "classifier":
        return _MESSAGE
    if description.kind == "instruction":
        return _INSTRUCTION
    samples = read_records(checkpoint.parent / SAMPLES)
    if description.kind == "imported" or not samples:
        return _ENGLISH
    last = next(row for row in samples if row["step"] == samples[-1]["step"])
    return " ".join(f"{last['prompt']}{last['text']}".split()[:_N_WORDS])
