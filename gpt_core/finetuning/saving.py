"""A fine-tuned model as a checkpoint that every reader of checkpoints opens."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from gpt_core.artifact import Draft
from gpt_core.data import TOKENIZER
from gpt_core.files import write_json
from gpt_core.models import save_weights
from gpt_core.tokenizers import Tokenizer


def write_finetuned(
    draft: Draft, model: nn.Module, tokenizer: Tokenizer, description: Mapping[str, Any]
) -> None:
    """Write weights, tokenizer and ``config.json``.

    Args:
        draft: The checkpoint in the making.
        model: Its adapters merged.
        tokenizer: The model's.
        description: What ``config.json`` says.
    """
    save_weights(model, draft.directory / "model.safetensors")
    tokenizer.save(draft.directory / TOKENIZER)
    write_json(draft.directory / "config.json", description)
    draft.info |= {name: value for name, value in description.items() if name != "model"}


def note_figures(
    draft: Draft, validation: Mapping[str, float], parts: Mapping[str, Sequence[object]]
) -> None:
    """Note the best epoch's validation figures and the sizes of the parts."""
    draft.metrics |= {f"validation_{name}": value for name, value in validation.items()}
    draft.metrics |= {f"{name}_examples": float(len(part)) for name, part in parts.items()}
