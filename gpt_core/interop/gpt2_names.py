"""GPT-2's tensors under the names of Hugging Face and of this project."""

from dataclasses import dataclass

from gpt_core.config import GPTConfig


@dataclass(frozen=True, slots=True)
class TensorName:
    """One tensor in both worlds."""

    ours: str
    huggingface: str
    transposed: bool
    """Hugging Face keeps linear weights as (in, out); ours are (out, in)."""


_OF_MODEL = (
    TensorName("wte.weight", "wte.weight", False),
    TensorName("wpe.weight", "wpe.weight", False),
    TensorName("ln_f.weight", "ln_f.weight", False),
    TensorName("ln_f.bias", "ln_f.bias", False),
)
_OF_BLOCK = (
    TensorName("ln_1.weight", "ln_1.weight", False),
    TensorName("ln_1.bias", "ln_1.bias", False),
    TensorName("attn.c_attn.weight", "attn.c_attn.weight", True),
    TensorName("attn.c_attn.bias", "attn.c_attn.bias", False),
    TensorName("attn.c_proj.weight", "attn.c_proj.weight", True),
    TensorName("attn.c_proj.bias", "attn.c_proj.bias", False),
    TensorName("ln_2.weight", "ln_2.weight", False),
    TensorName("ln_2.bias", "ln_2.bias", False),
    TensorName("mlp.c_fc.weight", "mlp.c_fc.weight", True),
    TensorName("mlp.c_fc.bias", "mlp.c_fc.bias", False),
    TensorName("mlp.c_proj.weight", "mlp.c_proj.weight", True),
    TensorName("mlp.c_proj.bias", "mlp.c_proj.bias", False),
)


def tensor_names(config: GPTConfig) -> list[TensorName]:
    """Every tensor of a model of this shape; Hugging Face's without ``transformer.``."""
    names = list(_OF_MODEL)
    for layer in range(config.n_layer):
        names.extend(
            TensorName(f"h.{layer}.{n.ours}", f"h.{layer}.{n.huggingface}", n.transposed)
            for n in _OF_BLOCK
        )
    if not config.tied_head:
        names.append(TensorName("lm_head.weight", "lm_head.weight", False))
    return names
