"""Instructions with answers: encode with the prompt masked.

Shapes: B batch, T time.
"""

from collections.abc import Sequence

import torch

from gpt_core.config import IGNORED
from gpt_core.data.loader import Batch
from gpt_core.data.prompts import PromptTemplate
from gpt_core.text import InstructionExample
from gpt_core.tokenizers import Tokenizer


def encode_example(
    example: InstructionExample,
    tokenizer: Tokenizer,
    template: PromptTemplate,
    *,
    max_tokens: int | None = None,
) -> tuple[list[int], list[int]]:
    """Encode an example as ids and next-token targets: the prompt, the answer, end of document.

    The targets within the prompt are ``IGNORED``.

    Args:
        example: The example.
        tokenizer: The model's tokenizer.
        template: The prompt template.
        max_tokens: Longer examples are truncated at the end.

    Returns:
        Ids and targets, both of length T.
    """
    prompt = tokenizer.encode(template.format(example.instruction, example.input))
    answer = [*tokenizer.encode(example.output), tokenizer.eos_id]
    token_ids = [*prompt, *answer]
    targets = [IGNORED] * (len(prompt) - 1) + answer
    return token_ids[:-1][:max_tokens], targets[:max_tokens]


def collate(rows: Sequence[tuple[list[int], list[int]]], pad_id: int) -> Batch:
    """Pad rows to the longest of the batch; the targets of padding are ``IGNORED``.

    Args:
        rows: Ids and targets of each example, of lengths T_i.
        pad_id: The padding id.

    Returns:
        Ids and targets, both of shape (B, max T_i).
    """
    width = max(len(token_ids) for token_ids, _ in rows)
    token_ids = torch.full((len(rows), width), pad_id)
    targets = torch.full((len(rows), width), IGNORED)
    for index, (row_ids, row_targets) in enumerate(rows):
        token_ids[index, : len(row_ids)] = torch.tensor(row_ids)
        targets[index, : len(row_targets)] = torch.tensor(row_targets)
    return Batch(token_ids, targets)
