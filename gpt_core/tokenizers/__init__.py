"""Text to ids and back, by several kinds behind one interface."""

from gpt_core.tokenizers.base import StreamDecoder, Tokenizer
from gpt_core.tokenizers.bpe import BPETokenizer, byte_characters, written_tokens
from gpt_core.tokenizers.bpe_files import (
    MERGES_NAMES,
    WrittenBPE,
    from_ranks,
    read_gpt2_merges,
    read_huggingface,
    read_one_file,
    read_two_files,
    write_gpt2_files,
    write_huggingface,
)
from gpt_core.tokenizers.bpe_training import learn_merges, train_bpe
from gpt_core.tokenizers.character import ByteTokenizer, CharacterTokenizer, CodePointTokenizer
from gpt_core.tokenizers.factory import load_tokenizer, measure, train_tokenizer
from gpt_core.tokenizers.gpt2 import GPT2Tokenizer, is_released
from gpt_core.tokenizers.numbered import NumberedBPETokenizer
from gpt_core.tokenizers.sentence_piece import (
    SentencePieceBPETokenizer,
    SentencePieceTokenizer,
    UnigramTokenizer,
)
from gpt_core.tokenizers.split_patterns import SplitPattern, split_pattern
from gpt_core.tokenizers.vocabulary import VocabularyTokenizer
from gpt_core.tokenizers.word import WordTokenizer

__all__ = [
    "MERGES_NAMES",
    "BPETokenizer",
    "ByteTokenizer",
    "CharacterTokenizer",
    "CodePointTokenizer",
    "GPT2Tokenizer",
    "NumberedBPETokenizer",
    "SentencePieceBPETokenizer",
    "SentencePieceTokenizer",
    "SplitPattern",
    "StreamDecoder",
    "Tokenizer",
    "UnigramTokenizer",
    "VocabularyTokenizer",
    "WordTokenizer",
    "WrittenBPE",
    "byte_characters",
    "from_ranks",
    "is_released",
    "learn_merges",
    "load_tokenizer",
    "measure",
    "read_gpt2_merges",
    "read_huggingface",
    "read_one_file",
    "read_two_files",
    "split_pattern",
    "train_bpe",
    "train_tokenizer",
    "write_gpt2_files",
    "write_huggingface",
    "written_tokens",
]
