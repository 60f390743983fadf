"""The forward pass of a GPT for decoding: ``GPT.forward`` as one loop over prepared layers.

In small models half of a decode step is not arithmetic but calls of modules and looking up their
attributes. This loop computes the same from the same weights, without dropout, and its linear
layers may be packed or in int8 (``packed``). The weights are read when the decoder is built: packed
ones do not follow a model that is trained further, and take memory as well unless the decoder may
drop its weights.

Shapes: B rows, T new tokens, C width, H heads, D head width, V vocabulary.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt_core.errors import ConfigError
from gpt_core.models.block import TransformerBlock
from gpt_core.models.gpt import GPT
from gpt_core.models.layers import LayerNorm
from gpt_core.models.packed import (
    Linear,
    bf16_linear,
    can_pack,
    int8_linear,
    is_packing_faster,
    packed_linear,
    plain_linear,
)
from gpt_core.models.slot_cache import SlotStep

LinearKind = Literal["auto", "plain", "packed", "bf16", "int8"]
"""Linear layers of a decoder: ``auto`` tries which of plain and packed is faster."""

_MAKERS: dict[str, Callable[[nn.Module], Linear]] = {
    "plain": plain_linear,
    "packed": packed_linear,
    "bf16": bf16_linear,
    "int8": int8_linear,
}


class Decoder:
    """Computes logits of rows of slots.

    Args:
        model: The language model.
        kind: The linear layers.
        n_rows: Rows of a step at most.
        keep_weights: Leave the model as it is. Else the weights that are packed or in int8 are
            dropped from it layer by layer, and it can compute nothing by itself any more.

    Raises:
        ConfigError: If the kind is ``int8`` and the model is not in float32 on a CPU, or ``bf16``
            and the model has adapters.
    """

    def __init__(
        self,
        model: GPT,
        kind: LinearKind = "auto",
        n_rows: int = 8,
        *,
        keep_weights: bool = True,
    ) -> None:
        self.model = model
        self.kind = _choose(model, kind, n_rows)
        """The linear layers that were chosen: ``model`` where only the model itself can do it."""

        if self.kind != "model":
            make = _MAKERS[self.kind]
            if not keep_weights and self.kind != "plain":
                make = partial(_make_and_drop, make)
            self.blocks = [DecoderBlock(block, make) for block in _blocks(model)]
            self.final_norm, self.head = Norm(model.ln_f), make(model.lm_head)
            self._tokens, self._positions = model.wte.weight, model.wpe.weight

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of keys and values."""
        weight = self.model.wte.weight
        if self.kind == "bf16":
            return torch.bfloat16
        if torch.is_autocast_enabled(weight.device.type):
            return torch.get_autocast_dtype(weight.device.type)
        return weight.dtype

    def logits(self, token_ids: Tensor, step: SlotStep) -> Tensor:
        """Logits at every position: (B, T) to (B, T, V)."""
        if self.kind == "model":
            every: Tensor = self.model(token_ids, step)
            return every
        B, T = token_ids.shape
        return self.head(self._hidden(token_ids, step)).view(B, T, -1)

    def next_logits(self, token_ids: Tensor, step: SlotStep) -> Tensor:
        """Logits of the token after the last: (B, T) to (B, V)."""
        if self.kind == "model":
            return self.model.next_logits(token_ids, step)
        T = token_ids.size(1)
        return self.head(self._hidden(token_ids, step)[T - 1 :: T])

    def _hidden(self, token_ids: Tensor, step: SlotStep) -> Tensor:
        """The final hidden states of all rows one after another, (B × T, C)."""
        x = self.embed(token_ids.flatten(), step.positions.flatten())
        for layer, block in enumerate(self.blocks):
            x = block(x, layer, token_ids.shape, step)
        return self.final_norm(x)

    def embed(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """The residual stream before the first block: two of shape (N,) to (N, C)."""
        return F.embedding(token_ids, self._tokens) + F.embedding(positions, self._positions)


class Norm:
    """A layer norm with its parameters at hand."""

    def __init__(self, norm: LayerNorm) -> None:
        self.settings = (norm.weight.shape, norm.weight, norm.bias, norm.epsilon)

    def __call__(self, x: Tensor) -> Tensor:
        """Normalize the last dimension."""
        return torch.layer_norm(x, *self.settings)


class DecoderBlock:
    """A transformer block with its layers at hand."""

    def __init__(self, block: TransformerBlock, make: Callable[[nn.Module], Linear]) -> None:
        self.n_head = block.attn.n_head
        self.ln_1, self.ln_2 = Norm(block.ln_1), Norm(block.ln_2)
        self.c_attn, self.attn_proj = make(block.attn.c_attn), make(block.attn.c_proj)
        self.c_fc, self.mlp_proj = make(block.mlp.c_fc), make(block.mlp.c_proj)

    def __call__(self, x: Tensor, layer: int, shape: torch.Size, step: SlotStep) -> Tensor:
        """Update the residual stream (B × T, C); ``shape`` is (B, T)."""
        B, T = shape
        qkv = self.c_attn(self.ln_1(x)).view(B, T, 3, self.n_head, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, T, D)
        heads = step.attend(layer, query, key, value)  # (B, H, T, D)
        x = x + self.attn_proj(heads.transpose(1, 2).reshape(x.shape))
        hidden = F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh")
        return x + self.mlp_proj(hidden)


def _make_and_drop(make: Callable[[nn.Module], Linear], layer: nn.Module) -> Linear:
    """Prepare a layer and drop its weight; one that is shared stays where it is shared."""
    made = make(layer)
    layer.register_parameter("weight", None)
    return made


def _choose(model: GPT, kind: LinearKind, n_rows: int) -> str:
    """The linear layers that a decoder of this model uses."""
    weight = model.wte.weight
    on_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
    if kind == "int8" and not (on_cpu and _is_plain(model)):
        raise ConfigError(
            "weights=int8 needs a model in float32 on a CPU, without adapters and without autocast"
        )
    if kind == "bf16" and not _is_plain(model):
        raise ConfigError("weights=bf16 needs a model without adapters and without autocast")
    if not _is_plain(model):
        return "model"
    if kind in ("plain", "bf16", "int8"):
        return kind
    layers = _linears(_blocks(model)[0])
    if not all(map(can_pack, layers)):
        return "plain"
    if kind == "auto" and (n_rows == 1 or not is_packing_faster(layers, n_rows)):
        return "plain"
    return "packed"


def _is_plain(model: GPT) -> bool:
    """Whether the loop computes what the model does: no adapters, shards, autocast or formulas."""
    weight = model.wte.weight
    layers = [model.lm_head, *(layer for block in _blocks(model) for layer in _linears(block))]
    return (
        type(model) is GPT  # not sharded
        and all(type(layer) is nn.Linear for layer in layers)  # no adapters
        and model.config.attention != "explicit"
        and not torch.is_autocast_enabled(weight.device.type)
    )


def _blocks(model: GPT) -> list[TransformerBlock]:
    return cast(list[TransformerBlock], list(model.h))


def _linears(block: TransformerBlock) -> list[nn.Linear]:
    return [block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj]
