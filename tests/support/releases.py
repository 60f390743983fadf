"""Releases of ``transformers`` with random weights."""

from pathlib import Path
from typing import Any

import torch

from gpt_core.tokenizers import ByteTokenizer

V, T = 257, 32


def save_release(directory: Path, **settings: Any) -> Any:
    """A randomly initialized GPT-2 of ``transformers``, saved by it, with nonzero biases."""
    import transformers

    shape = {"n_layer": 3, "n_head": 4, "n_embd": 48, "vocab_size": V, "n_positions": T}
    shape |= {"bos_token_id": 256, "eos_token_id": 256}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**(shape | settings))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(directory)
    ByteTokenizer().save(directory / "tokenizer")
    return model
