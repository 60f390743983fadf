"""Token shards and batches for pretraining; labelled texts and instructions for fine-tuning."""

from gpt_core.config import IGNORED
from gpt_core.data.classification import (
    ExampleSplits,
    balance,
    encode_texts,
    pad,
    split_examples,
)
from gpt_core.data.encoding import encode_corpus
from gpt_core.data.instruction import (
    InstructionSplits,
    collate,
    encode_example,
    split_instructions,
)
from gpt_core.data.loader import (
    Batch,
    LoaderState,
    TokenLoader,
    permute,
    rows_of_rank,
    sequential_batches,
)
from gpt_core.data.prompts import ALPACA, TEMPLATES, PromptTemplate
from gpt_core.data.shards import ShardReader, ShardWriter
from gpt_core.data.windows import SlidingWindowDataset
from gpt_core.text import Example, InstructionExample, read_examples, read_instructions

__all__ = [
    "ALPACA",
    "IGNORED",
    "TEMPLATES",
    "Batch",
    "Example",
    "ExampleSplits",
    "InstructionExample",
    "InstructionSplits",
    "LoaderState",
    "PromptTemplate",
    "ShardReader",
    "ShardWriter",
    "SlidingWindowDataset",
    "TokenLoader",
    "balance",
    "collate",
    "encode_corpus",
    "encode_example",
    "encode_texts",
    "pad",
    "permute",
    "read_examples",
    "read_instructions",
    "rows_of_rank",
    "sequential_batches",
    "split_examples",
    "split_instructions",
]
