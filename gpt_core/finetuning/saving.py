"""Load the model to fine-tune; save the result as a checkpoint that every reader opens."""

from collections.abc import Mapping
from functools import partial

from safetensors.torch import save
from torch import Tensor, nn

from gpt_core.artifact import Artifact, Draft
from gpt_core.checkpoints import ADAPTER, TOKENIZER, CheckpointDescription, write_checkpoint
from gpt_core.models import GPT, load_model, save_weights
from gpt_core.tokenizers import Tokenizer, load_tokenizer


def load_base(checkpoint: Artifact) -> tuple[GPT, Tokenizer]:
    """The language model to fine-tune, on the CPU, and its tokenizer.

    Raises:
        CheckpointError: If the checkpoint is damaged or a classifier's.
    """
    body = load_model(checkpoint.directory)
    return body, load_tokenizer(checkpoint.directory / TOKENIZER)


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
