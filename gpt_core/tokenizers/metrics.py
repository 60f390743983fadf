"""Metrics of how a tokenizer cuts text."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from gpt_core.artifact import Artifact
from gpt_core.text import iter_texts
from gpt_core.tokenizers.base import Tokenizer

_N_DOCUMENTS = 500  # encoded for the metrics


@dataclass(slots=True)
class TokenCounts:
    """Counts of tokens, bytes and words over encoded texts, and the metrics that follow.

    Args:
        tokenizer: The tokenizer that encodes the texts.
    """

    tokenizer: Tokenizer
    n_tokens: int = 0
    n_unknown: int = 0
    n_bytes: int = 0
    n_words: int = 0
    """Words between white space."""

    def add(self, text: str, token_ids: Sequence[int]) -> None:
        """Count one text and its ids."""
        self.n_tokens += len(token_ids)
        if self.tokenizer.unk_id is not None:
            self.n_unknown += token_ids.count(self.tokenizer.unk_id)
        self.n_bytes += len(text.encode())
        self.n_words += len(text.split())

    def metrics(self) -> dict[str, float]:
        """``vocab_size``, ``bytes_per_token``, ``tokens_per_word``, ``unknown_share`` of tokens."""
        n_tokens = max(1, self.n_tokens)
        return {
            "vocab_size": float(self.tokenizer.vocab_size),
            "bytes_per_token": self.n_bytes / n_tokens,
            "tokens_per_word": self.n_tokens / max(1, self.n_words),
            "unknown_share": self.n_unknown / n_tokens,
        }


def held_out_metrics(tokenizer: Tokenizer, documents: Artifact) -> dict[str, float]:
    """Compute the metrics on validation text, or on training text if there is none.

    Returns:
        The metrics of ``TokenCounts`` over the first 500 documents.
    """
    texts = list(islice(iter_texts(documents, "validation"), _N_DOCUMENTS))
    texts = texts or list(islice(iter_texts(documents, "train"), _N_DOCUMENTS))
    counts = TokenCounts(tokenizer)
    for text, token_ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        counts.add(text, token_ids)
    return counts.metrics()
