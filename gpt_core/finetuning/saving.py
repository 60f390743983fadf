"""A fine-tuned model as a checkpoint that every reader of checkpoints opens."""

from collections.abc import Mapping
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from gpt_core.artifact import Draft
from gpt_core.data import TOKENIZER
from gpt_core.files import write_json
from gpt_core.models import save_weights
from gpt_core.tokenizers import Tokenizer

ADAPTER = "adapter.safetensors"


def write_finetuned(
    draft: Draft,
    model: nn.Module,
    tokenizer: Tokenizer,
    description: Mapping[str, Any],
    adapters: Mapping[str, Tensor],
) -> None:
    """Write weights, tokenizer and ``config.json``.

    Args:
        draft: The checkpoint in the making.
        model: Its adapters merged.
        tokenizer: The model's.
        description: What ``config.json`` says.
        adapters: The adapters by themselves, which go beside the weights; may be empty.
    """
    save_weights(model, draft.directory / "model.safetensors")
    if adapters:
        (draft.directory / ADAPTER).write_bytes(save(dict(adapters)))
    tokenizer.save(draft.directory / TOKENIZER)
    write_json(draft.directory / "config.json", description)
    draft.info |= {name: value for name, value in description.items() if name != "model"}
