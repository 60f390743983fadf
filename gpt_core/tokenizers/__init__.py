"""Text to ids and back, by several kinds behind one interface."""

from gpt_core.tokenizers.base import StreamDecoder, Tokenizer
from gpt_core.tokenizers.character import ByteTokenizer
from gpt_core.tokenizers.factory import load_tokenizer, train_tokenizer
from gpt_core.tokenizers.gpt2 import GPT2Tokenizer
from gpt_core.tokenizers.unigram import UnigramTokenizer, train_unigram

__all__ = [
    "ByteTokenizer",
    "GPT2Tokenizer",
    "StreamDecoder",
    "Tokenizer",
    "UnigramTokenizer",
    "load_tokenizer",
    "train_tokenizer",
    "train_unigram",
]
