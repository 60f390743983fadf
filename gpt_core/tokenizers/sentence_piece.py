"""SentencePiece tokenizers: subword pieces, with bytes as the fallback.

Unigram starts with far too many pieces and drops those that contribute least to the probability of
the text. SentencePiece's BPE merges frequent pairs like ``bpe``, but of characters, not bytes.

References:
    Kudo 2018, "Subword Regularization", section 3.2; Kudo and Richardson 2018, "SentencePiece".
"""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import sentencepiece
from typing_extensions import override

from gpt_core.config import TokenizerConfig
from gpt_core.errors import DataError
from gpt_core.tokenizers.base import Tokenizer, require_encodable

_SPECIALS = {"pad": 0, "unk": 1, "bos": 2, "eos": 3}
SENTENCEPIECE_SPACE = "\u2581"
"""The character that represents a space in a piece."""
_MAX_SENTENCE_BYTES = 4096  # in UTF-8; longer lines are cut for training
_BYTE_PIECE = re.compile("<0x([0-9A-F]{2})>")
_TOO_HIGH = re.compile(r"value <= (\d+)")
_TOO_LOW = re.compile(r"smaller than required_chars. \d+ vs (\d+)")


class SentencePieceTokenizer(Tokenizer):
    """Subword pieces; characters without a piece are encoded as bytes, so every text is covered.

    SentencePiece represents a space by U+2581 and drops NUL, so these two characters are encoded
    as bytes here.

    Args:
        model: A serialized SentencePiece model.
    """

    file_name = "sentencepiece.model"
    model_type: ClassVar[str]
    """SentencePiece's name of the kind."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._model = sentencepiece.SentencePieceProcessor(model_proto=model)
        self._byte_ids = [self._model.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)]
        self._bytes = [self._bytes_of(token_id) for token_id in range(self.vocab_size)]

    @property
    def vocab_size(self) -> int:
        """Number of pieces, special ids and bytes included."""
        return int(self._model.get_piece_size())

    @property
    @override
    def special_ids(self) -> Mapping[str, int]:
        return _SPECIALS

    def encode(self, text: str) -> list[int]:
        """Encode a text to its most probable pieces."""
        require_encodable(text)
        if SENTENCEPIECE_SPACE not in text and "\0" not in text:
            ids: list[int] = self._model.encode(text)
            return ids
        ids = []
        for part in re.split(f"([{SENTENCEPIECE_SPACE}\0])", text):
            if part in (SENTENCEPIECE_SPACE, "\0"):
                ids.extend(self._byte_ids[byte] for byte in part.encode())
            elif part:
                ids.extend(self._model.encode(part))
        return ids

    def scored_pieces(self) -> list[tuple[str, float]]:
        """The piece and the score (a log-probability) of each id."""
        model = self._model
        return [(model.id_to_piece(i), float(model.get_score(i))) for i in range(self.vocab_size)]

    @override
    def token_bytes(self, token_id: int) -> bytes:
        self._require_id(token_id)
        return self._bytes[token_id]

    def _bytes_of(self, token_id: int) -> bytes:
        if self._model.is_byte(token_id):
            found = _BYTE_PIECE.fullmatch(self._model.id_to_piece(token_id))
            return bytes([int(found[1], 16)]) if found else b""
        if self._model.is_control(token_id) or self._model.is_unknown(token_id):
            return b""
        piece: str = self._model.id_to_piece(token_id)
        return piece.replace(SENTENCEPIECE_SPACE, " ").encode()

    def _save_file(self, path: Path) -> None:
        path.write_bytes(self.model)

    @classmethod
    def _load_from(cls, directory: Path) -> Self:
        file = directory / str(cls.file_name)
        try:
            return cls(file.read_bytes())
        except (OSError, RuntimeError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise DataError(f"{file} is not a SentencePiece model: {reason}") from error

    @classmethod
    def train(cls, texts: Iterable[str], config: TokenizerConfig) -> Self:
        """Train on texts; at most ``config.max_sentences`` lines of them, sampled at random.

        Args:
            texts: The training documents, read once.
            config: Vocabulary size and the settings of SentencePiece.

        Raises:
            DataError: If the texts support no vocabulary of that size.
        """
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=_sentences(texts),
                model_writer=model,
                model_type=cls.model_type,
                **_options(config),
            )
        except RuntimeError as error:
            raise DataError(_explain(error, config)) from error
        return cls(model.getvalue())


class UnigramTokenizer(SentencePieceTokenizer):
    """Subword pieces by a unigram language model: encodes to the most probable segmentation."""

    kind = "unigram"
    model_type = "unigram"


class SentencePieceBPETokenizer(SentencePieceTokenizer):
    """Byte-pair encoding over characters: pieces are merged in the order of training."""

    kind = "sentencepiece-bpe"
    model_type = "bpe"


def _options(config: TokenizerConfig) -> dict[str, Any]:
    """The trainer's settings; the fixed ones make it lossless and deterministic."""
    return {
        "vocab_size": config.vocab_size,
        "character_coverage": config.character_coverage,
        "split_by_whitespace": not config.cross_words,
        "split_by_unicode_script": config.split_scripts,
        "split_digits": config.split_digits,
        "max_sentencepiece_length": config.max_piece_length,
        "seed_sentencepiece_size": config.seed_pieces,
        "shrinking_factor": config.shrinking_factor,
        "num_sub_iterations": config.em_steps,
        "input_sentence_size": config.max_sentences,
        "shuffle_input_sentence": True,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        **{f"{name}_id": token_id for name, token_id in _SPECIALS.items()},
        "max_sentence_length": _MAX_SENTENCE_BYTES,
        "num_threads": 1,  # more threads would change the order of floating-point sums
        "minloglevel": 2,
    }


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    """Stream the lines of the texts, cut so that SentencePiece does not drop them as too long."""
    for text in texts:
        require_encodable(text)
        for line in text.replace("\0", "").split("\n"):
            yield from _cut(line, _MAX_SENTENCE_BYTES // 4)  # characters, of at most four bytes


def _cut(line: str, width: int) -> Iterator[str]:
    """Cut a line into parts of at most ``width`` characters, before a space if there is one.

    Example:
        >>> list(_cut("one two three", 9))
        ['one two', ' three']
    """
    start = 0
    while len(line) - start > width:
        space = line.rfind(" ", start + 1, start + width + 1)
        end = space if space > 0 else start + width
        yield line[start:end]
        start = end
    yield line[start:]


def _explain(error: RuntimeError, config: TokenizerConfig) -> str:
    """Translate SentencePiece's error message to advice about settings."""
    message = str(error).splitlines()[-1].strip()
    if found := _TOO_HIGH.search(message):
        return (
            f"the training text supports a vocabulary of at most {found[1]}, "
            f"tokenizer.vocab_size is {config.vocab_size}: set it lower, give more text or set "
            "tokenizer.cross_words=true"
        )
    if found := _TOO_LOW.search(message):
        return (
            f"the training text's characters need a vocabulary of at least {found[1]}, "
            f"tokenizer.vocab_size is {config.vocab_size}: set it higher or "
            "tokenizer.character_coverage lower"
        )
    if "sentences_.empty()" in message:
        return "there is no text in the training split, so it has no vocabulary"
    return f"SentencePiece could not train a tokenizer: {message}"
