"""Save a fine-tuned model as a checkpoint that every reader of checkpoints opens."""

from collections.abc import Mapping
from functools import partial

from safetensors.torch import save
from torch import Tensor, nn

from gpt_core.artifact import Draft
from gpt_core.checkpoints import ADAPTER, CheckpointDescription, write_checkpoint
from gpt_core.models import save_weights
from gpt_core.tokenizers import Tokenizer


def write_finetuned(
    draft: Draft,
    model: nn.Module,
    tokenizer: Tokenizer,
    description: CheckpointDescription,
    adapters: Mapping[str, Tensor],
) -> None:
    """Write weights, tokenizer, description and, if there are any, the adapters.

    Args:
        draft: The unfinished checkpoint.
        model: The model with its adapters merged.
        tokenizer: The model's tokenizer.
        description: The content of ``config.json``.
        adapters: The adapters by themselves, stored next to the weights; may be empty.
    """
    write_checkpoint(
        draft,
        description,
        save_weights=partial(save_weights, model),
        save_tokenizer=tokenizer.save,
    )
    if adapters:
        (draft.directory / ADAPTER).write_bytes(save(dict(adapters)))
