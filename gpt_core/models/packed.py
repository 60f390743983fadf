"""Linear layers for decoding: as they are, packed once for oneDNN, in bfloat16 or in int8.

A decode step multiplies few rows by large matrices, so its time is that of reading the weights. On
a CPU ``F.linear`` arranges the matrix again for every product of two rows or more; weights packed
once need no arranging, and the bits of a row no longer depend on how many rows there are. For
narrow layers the packed operation's own overhead is larger than what it saves, hence
``is_packing_faster``.

Shapes: M rows, K inputs, N outputs.

References:
    oneDNN's developer guide, "Inner Product", on memory formats; Jacob et al. 2018, "Quantization
    and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", section 2.1.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Linear = Callable[[Tensor], Tensor]
"""A prepared layer: (M, K) to (M, N)."""

_WITHIN = 1e-4  # of the largest output: what two orders of summation may differ by
_INT8_MAX = 127
_TURNS = 5


def plain_linear(layer: nn.Module) -> Linear:
    """A layer as it is; an ``nn.Linear`` without the overhead of calling a module."""
    if type(layer) is not nn.Linear:
        return layer
    return partial(F.linear, weight=layer.weight, bias=layer.bias)


def packed_linear(layer: nn.Module) -> Linear:
    """An ``nn.Linear`` with its weight packed for oneDNN, a copy; any other layer as it is."""
    if type(layer) is not nn.Linear:
        return layer
    weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach())
    bias, operation = layer.bias, torch.ops.mkldnn._linear_pointwise.default

    def multiply(x: Tensor) -> Tensor:
        y: Tensor = operation(x, weight, bias, "none", [], "")
        return y

    if _is_row_invariant(multiply, layer.in_features):
        return multiply
    # A single row of many inputs is summed in another order, unless it comes as two.
    return lambda x: multiply(x) if len(x) > 1 else multiply(x.repeat(2, 1))[:1]


@torch.inference_mode()
def _is_row_invariant(multiply: Linear, n_inputs: int) -> bool:
    """Whether a row has the same bits alone as in front of another."""
    rows = torch.randn(2, n_inputs, generator=torch.Generator().manual_seed(0))
    return torch.equal(multiply(rows[:1]), multiply(rows)[:1])


def bf16_linear(layer: nn.Module) -> Linear:
    """An ``nn.Linear`` with its weight in bfloat16, a copy; any other layer as it is.

    Inputs are rounded to bfloat16 as well, sums are in float32, outputs are bfloat16.
    """
    if type(layer) is not nn.Linear:
        return layer
    weight = layer.weight.detach().bfloat16()
    bias = None if layer.bias is None else layer.bias.detach().bfloat16()
    return partial(_multiply_bf16, weight=weight, bias=bias)


def _multiply_bf16(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.linear(x.bfloat16(), weight, bias)


def int8_linear(layer: nn.Module) -> Linear:
    """An ``nn.Linear`` with weights in int8, a scale for each output; any other layer as it is.

    ``y = (x W_8^T) s + b`` with ``W_8 = round(W / s)`` and ``s = max |W| / 127`` over the inputs.
    The inputs are in bfloat16, for which torch's kernel is fast; the scales are rounded to
    bfloat16 before the division, so that they add no error.
    """
    if type(layer) is not nn.Linear:
        return layer
    weight = layer.weight.detach().float()
    scales = (weight.abs().amax(dim=1) / _INT8_MAX).clamp(min=1e-30).bfloat16()
    rounded = (weight / scales.float()[:, None]).round().clamp(-_INT8_MAX, _INT8_MAX)
    int8, bias = rounded.to(torch.int8), layer.bias

    def multiply(x: Tensor) -> Tensor:
        y = torch._weight_int8pack_mm(x.bfloat16(), int8, scales).to(x.dtype)
        return y if bias is None else y + bias

    return multiply


@torch.inference_mode()
def can_pack(layer: nn.Module) -> bool:
    """Whether a layer can be packed here, with the same results as ``F.linear``."""
    if type(layer) is not nn.Linear or type(layer.weight) is not nn.Parameter:
        return False
    weight = layer.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return False
    try:
        packed = packed_linear(layer)
        return all(_agrees(packed, layer, n_rows) for n_rows in (1, 3))
    except (AttributeError, RuntimeError):  # private operations: another torch may lack them
        return False


def _agrees(packed: Linear, layer: nn.Linear, n_rows: int) -> bool:
    generator = torch.Generator().manual_seed(n_rows)
    x = torch.randn(n_rows, layer.in_features, generator=generator)
    expected = F.linear(x, layer.weight, layer.bias)
    return bool((packed(x) - expected).abs().max() <= _WITHIN * (1 + expected.abs().max()))


@torch.inference_mode()
def is_packing_faster(layers: Sequence[nn.Linear], n_rows: int) -> bool:
    """Compare both kinds in a short trial: one row, two, and as many as there are slots.

    The seconds are those of the CPU, so that other work on the machine does not decide.

    Args:
        layers: The linear layers of one block.
        n_rows: Rows of a step at most.
    """
    plain, packed = [*map(plain_linear, layers)], [*map(packed_linear, layers)]
    sizes = sorted({1, min(2, n_rows), n_rows})
    inputs = [[torch.ones(n, layer.in_features) for layer in layers] for n in sizes]

    def measure(kind: Sequence[Linear]) -> float:
        started = time.process_time()
        for rows in inputs:
            for linear, x in zip(kind, rows, strict=True):
                linear(x)
        return time.process_time() - started

    measure(plain), measure(packed)
    turns = [(measure(packed), measure(plain)) for _ in range(_TURNS)]
    return min(turn[0] for turn in turns) < min(turn[1] for turn in turns)
