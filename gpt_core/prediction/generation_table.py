"""Tables of what a language model writes for the prompts of a source."""

from collections.abc import Sequence

import pyarrow as pa

from gpt_core.config import DecodingConfig
from gpt_core.prediction.generating import Prompt, TextGenerator
from gpt_core.prediction.tables import ERROR, TOKENS, Columns, with_kept
from gpt_core.text import TableLayout, TableRow

ANSWER_TOKENS, FINISH = "answer_tokens", "finish"


class GenerationTable:
    """A row for each prompt: the continuation of a language model, or the answer of a tuned one.

    Args:
        generator: The model.
        decoding: How it samples; the prompt of row i has the seed ``decoding.seed + i``.
    """

    def __init__(self, generator: TextGenerator, decoding: DecodingConfig) -> None:
        self._generator, self._decoding = generator, decoding
        self._follows = generator.follows_instructions

    def schema(self, layout: TableLayout, keep: Sequence[str]) -> pa.Schema:
        """The columns of the predictions."""
        names = ("instruction", "input", "answer") if self._follows else ("prompt", "continuation")
        own = [(name, pa.string()) for name in names]
        counts = [(TOKENS, pa.int32()), (ANSWER_TOKENS, pa.int32()), (FINISH, pa.string())]
        return with_kept(keep, [*own, *counts])

    def predict(self, rows: Sequence[TableRow], layout: TableLayout) -> Columns:
        """Complete the prompts of rows."""
        texts = [row.values[layout.text] for row in rows]
        contexts = [row.values.get("input", "") if self._follows else "" for row in rows]
        seeds = [self._decoding.seed + row.number for row in rows]
        prompts = [Prompt(*each) for each in zip(texts, contexts, seeds, strict=True)]
        found = self._generator.complete(prompts, self._decoding)
        written = [None if each.problem else each.text for each in found]
        own: Columns = (
            {"instruction": texts, "input": contexts, "answer": written}
            if self._follows
            else {"prompt": texts, "continuation": written}
        )
        return {
            **own,
            TOKENS: [each.prompt_tokens for each in found],
            ANSWER_TOKENS: [None if each.problem else each.tokens for each in found],
            FINISH: [each.finish or None for each in found],
            ERROR: [each.problem for each in found],
        }
