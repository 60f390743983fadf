"""Which words decide: how the logits of the classes change when a part of the text is left out.

Shapes: K classes.

References:
    Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2
    (occlusion of an image's regions).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt_core.errors import DataError
from gpt_core.models import GPTClassifier, evaluating


@torch.no_grad()
def occlude(
    classifier: GPTClassifier,
    token_ids: Sequence[int],
    spans: Sequence[tuple[int, int]],
    pad_id: int,
) -> Tensor:
    """How much of the logits goes with each part of a text: with all of it minus without the part.

    Args:
        classifier: Its mode is restored afterwards.
        token_ids: The text.
        spans: First and last index (exclusive) of each part.
        pad_id: Fills the rows to the same length.

    Returns:
        Shape (len(spans), K): positive where the part speaks for the class.

    Raises:
        DataError: If a part is empty, not in the text, or all of it.
    """
    for begin, end in spans:
        if not 0 <= begin < end <= len(token_ids) or end - begin == len(token_ids):
            raise DataError(
                f"tokens {begin} to {end} of {len(token_ids)} cannot be left out: at least one must"
                " go and one stay"
            )
    rows = [list(token_ids), *([*token_ids[:begin], *token_ids[end:]] for begin, end in spans)]
    length = classifier.pad_to or len(token_ids)
    device = classifier.score.weight.device
    padded = [row + [pad_id] * (length - len(row)) for row in rows]
    with evaluating(classifier):
        logits: Tensor = classifier(
            torch.tensor(padded, device=device), torch.tensor(list(map(len, rows)), device=device)
        ).cpu()  # (1 + len(spans), K)
    return logits[0] - logits[1:]
