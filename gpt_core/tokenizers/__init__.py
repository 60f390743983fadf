"""Tokenizers: text to ids and back, several kinds behind one interface."""

from gpt_core.tokenizers.base import StreamDecoder, Tokenizer, first_difference
from gpt_core.tokenizers.bpe import END_OF_TEXT, BPETokenizer, byte_characters, token_strings
from gpt_core.tokenizers.bpe_files import (
    BYTE_LEVEL,
    MERGES_NAMES,
    BPEFiles,
    from_tiktoken,
    huggingface_form,
    read_gpt2_merges,
    read_huggingface,
    read_tokenizer_json,
    read_vocab_and_merges,
    write_gpt2_files,
    write_huggingface,
)
from gpt_core.tokenizers.bpe_training import learn_merges, train_bpe
from gpt_core.tokenizers.character import ByteTokenizer, CharacterTokenizer, CodePointTokenizer
from gpt_core.tokenizers.factory import describe_training, load_tokenizer, train_tokenizer
from gpt_core.tokenizers.gpt2 import GPT2Tokenizer, is_gpt2_vocabulary
from gpt_core.tokenizers.metrics import TokenCounts, held_out_metrics
from gpt_core.tokenizers.remapped import RemappedBPETokenizer
from gpt_core.tokenizers.sentence_piece import (
    SENTENCEPIECE_SPACE,
    SentencePieceBPETokenizer,
    SentencePieceTokenizer,
    UnigramTokenizer,
)
from gpt_core.tokenizers.split_patterns import SplitPattern, split_pattern
from gpt_core.tokenizers.vocabulary import VocabularyTokenizer
from gpt_core.tokenizers.word import WordTokenizer

__all__ = [
    "BYTE_LEVEL",
    "END_OF_TEXT",
    "MERGES_NAMES",
    "SENTENCEPIECE_SPACE",
    "BPEFiles",
    "BPETokenizer",
    "ByteTokenizer",
    "CharacterTokenizer",
    "CodePointTokenizer",
    "GPT2Tokenizer",
    "RemappedBPETokenizer",
    "SentencePieceBPETokenizer",
    "SentencePieceTokenizer",
    "SplitPattern",
    "StreamDecoder",
    "TokenCounts",
    "Tokenizer",
    "UnigramTokenizer",
    "VocabularyTokenizer",
    "WordTokenizer",
    "byte_characters",
    "describe_training",
    "first_difference",
    "from_tiktoken",
    "held_out_metrics",
    "huggingface_form",
    "is_gpt2_vocabulary",
    "learn_merges",
    "load_tokenizer",
    "read_gpt2_merges",
    "read_huggingface",
    "read_tokenizer_json",
    "read_vocab_and_merges",
    "split_pattern",
    "token_strings",
    "train_bpe",
    "train_tokenizer",
    "write_gpt2_files",
    "write_huggingface",
]
