"""Token shards and batches for pretraining; labelled texts and instructions for fine-tuning."""

from gpt_core.config import IGNORED
from gpt_core.data.classification import encode_texts, pad
from gpt_core.data.encoding import encode_corpus
from gpt_core.data.instruction import collate, encode_example
from gpt_core.data.loader import (
    Batch,
    LoaderState,
    TokenLoader,
    permute,
    rows_of_rank,
    sequential_batches,
)
from gpt_core.data.prompts import ALPACA, TEMPLATES, PromptTemplate, find_template
from gpt_core.data.shards import ShardReader, ShardWriter
from gpt_core.data.windows import SlidingWindowDataset

__all__ = [
    "ALPACA",
    "IGNORED",
    "TEMPLATES",
    "Batch",
    "LoaderState",
    "PromptTemplate",
    "ShardReader",
    "ShardWriter",
    "SlidingWindowDataset",
    "TokenLoader",
    "collate",
    "encode_corpus",
    "encode_example",
    "encode_texts",
    "find_template",
    "pad",
    "permute",
    "rows_of_rank",
    "sequential_batches",
]
