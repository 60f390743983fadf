"""Decode steps on a GPU: recorded once as CUDA graphs, then launched with one call each.

A decode step is some hundred kernels of a few microseconds each, so a GPU waits for Python to
launch the next one. A CUDA graph is launched as a whole. Its shapes and addresses are fixed: there
is one graph for a number of rows and of keys, both rounded up. A row that only fills up a step
reads and writes places of its slot that nobody uses.

Before they are recorded, steps of one row may be compiled, which fuses their kernels: one block is
compiled, and all blocks use it. For many rows torch's own attention and matrix products are faster
than what is compiled (benchmarks.gpu_decoding).

Shapes: B rows, C width, H heads, S keys that are read, D head width, V vocabulary.

References:
    Ansel et al. 2024, "PyTorch 2: Faster Machine Learning Through Dynamic Python Bytecode
    Transformation and Graph Compilation", section 6 (CUDA graphs).
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt_core.errors import ConfigError
from gpt_core.models.decoder import Decoder, DecoderBlock
from gpt_core.models.packed import Linear
from gpt_core.models.slot_cache import SlotCache

StepKind = Literal["auto", "plain", "recorded", "compiled"]
"""How an engine decodes a token of every row: ``auto`` records on a GPU, where it can."""

_FEWEST_KEYS = 128
_ROWS = 8  # a step of more rows has a multiple of it, one of fewer a power of two


def build_step_graphs(decoder: Decoder, cache: SlotCache, kind: StepKind) -> "StepGraphs | None":
    """The steps of an engine that are computed in this way; None for ``plain``.

    Raises:
        ConfigError: If the decoder's layers are not tensors alone.
    """
    is_possible = decoder.kind in ("plain", "bf16")
    if kind == "auto":
        kind = "recorded" if is_possible and cache.keys.device.type == "cuda" else "plain"
    if kind == "plain":
        return None
    if not is_possible:
        raise ConfigError(f"steps={kind} needs weights=plain or bf16, and no adapters")
    return StepGraphs(decoder, cache, compiled=kind == "compiled")


class StepGraphs:
    """Computes the logits of the next tokens of the first slots.

    Args:
        decoder: Its kind is ``plain`` or ``bf16``.
        cache: The slots, on the decoder's device; on a CPU nothing is recorded.
        compiled: Compile the steps of one row: takes some ten seconds, once.
    """

    def __init__(self, decoder: Decoder, cache: SlotCache, *, compiled: bool = False) -> None:
        self._decoder, self._cache = decoder, cache
        self._device = cache.keys.device
        self._on_gpu = self._device.type == "cuda"
        self._weights = [_BlockWeights.of(block) for block in decoder.blocks]
        self._compiled = (
            (torch.compile(_block_step, dynamic=True), torch.compile(_last_step, dynamic=True))
            if compiled
            else None
        )
        self._given = torch.zeros(cache.n_slots, 2, dtype=torch.long, pin_memory=self._on_gpu)
        self._inputs = self._given.to(self._device)  # id and length of each row
        self._steps: dict[tuple[int, int], Callable[[], Tensor]] = {}
        self._graphs: list[torch.cuda.CUDAGraph] = []  # share their memory

    def count_rows(self, n_rows: int) -> int:
        """The rows of a step in which so many are wanted."""
        power = 1 << (n_rows - 1).bit_length()
        rounded = power if n_rows <= _ROWS else -(-n_rows // _ROWS) * _ROWS
        return min(rounded, self._cache.n_slots)

    def count_keys(self, length: int) -> int:
        """The keys that a step reads whose longest row holds so many tokens."""
        return min(max(_FEWEST_KEYS, 1 << length.bit_length()), self._cache.capacity)

    def next_logits(self, rows: Sequence[tuple[int, int]], n_wanted: int) -> Tensor:
        """Append a token to each of the first slots.

        Args:
            rows: For each of ``count_rows(n_wanted)`` slots, a token's id and how many tokens the
                slot holds.
            n_wanted: Of so many the result is read.

        Returns:
            Logits in float32, shape (n_wanted, V), which the next call overwrites.
        """
        n_rows = len(rows)
        self._given[:n_rows] = torch.tensor(rows)
        self._inputs[:n_rows].copy_(self._given[:n_rows], non_blocking=True)
        n_keys = self.count_keys(max(length for _, length in rows[:n_wanted]))
        if (n_rows, n_keys) not in self._steps:
            self._steps[n_rows, n_keys] = self._prepare(n_rows, n_keys)
        return self._steps[n_rows, n_keys]()[:n_wanted]

    def prepare(self) -> None:
        """Record every step that can occur; the slots must be empty."""
        self._inputs.zero_()
        n_slots, capacity = self._cache.n_slots, self._cache.capacity
        for n_rows in sorted({self.count_rows(n) for n in range(1, n_slots + 1)}):
            for n_keys in sorted({self.count_keys(n) for n in range(capacity)}):
                self._steps[n_rows, n_keys] = self._prepare(n_rows, n_keys)

    def _prepare(self, n_rows: int, n_keys: int) -> Callable[[], Tensor]:
        step = partial(self._step, n_rows, n_keys)
        return self._record(step) if self._on_gpu else step

    def _record(self, step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Record a step; running it before, to compile it, writes what it will write again."""
        current = torch.cuda.current_stream()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(current)
        with torch.cuda.stream(aside):
            for _ in range(2):
                step()
        current.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        pool = self._graphs[0].pool() if self._graphs else None
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            logits = step()
        self._graphs.append(graph)

        def replay() -> Tensor:
            graph.replay()
            return logits

        return replay

    def _step(self, n_rows: int, n_keys: int) -> Tensor:
        """Logits of the next tokens, (B, V), from tensors alone."""
        token_ids, lengths = self._inputs[:n_rows].unbind(1)
        visible = torch.arange(n_keys, device=self._device) <= lengths[:, None]  # (B, S)
        single = self._compiled if n_rows == 1 else None
        block_step, last_step = single or (_block_step, _last_step)
        x = self._decoder.embed(token_ids, lengths)
        for layer, weights in enumerate(self._weights):
            keys, values = self._cache.keys[layer, :n_rows], self._cache.values[layer, :n_rows]
            x = block_step(x, weights, keys, values, lengths, visible)
        norm = self._decoder.final_norm.settings
        return last_step(x, norm[1], norm[2], norm[3], *_tensors(self._decoder.head))


class _BlockWeights(NamedTuple):
    """The tensors of a block, so that compiled code does not depend on which block it is."""

    n_head: int
    epsilon: float
    ln_1: Tensor
    ln_1_bias: Tensor | None
    attn: Tensor
    attn_bias: Tensor | None
    attn_proj: Tensor
    attn_proj_bias: Tensor | None
    ln_2: Tensor
    ln_2_bias: Tensor | None
    fc: Tensor
    fc_bias: Tensor | None
    mlp_proj: Tensor
    mlp_proj_bias: Tensor | None

    @classmethod
    def of(cls, block: DecoderBlock) -> "_BlockWeights":
        _, ln_1, ln_1_bias, epsilon = block.ln_1.settings
        _, ln_2, ln_2_bias, _ = block.ln_2.settings
        attn, attn_proj = _tensors(block.c_attn), _tensors(block.attn_proj)
        fc, mlp_proj = _tensors(block.c_fc), _tensors(block.mlp_proj)
        return cls(
            block.n_head, epsilon, ln_1, ln_1_bias, *attn, *attn_proj, ln_2, ln_2_bias, *fc,
            *mlp_proj,
        )  # fmt: skip


def _tensors(linear: Linear) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a linear layer that ``plain_linear`` or ``bf16_linear`` made."""
    tensors = cast("partial[Tensor]", linear).keywords
    return tensors["weight"], tensors["bias"]


def _block_step(
    x: Tensor,
    weights: _BlockWeights,
    keys: Tensor,
    values: Tensor,
    lengths: Tensor,
    visible: Tensor,
) -> Tensor:
    """One block's update of the residual stream (B, C), and of its keys and values."""
    B, C = x.shape
    w = weights
    normed = F.layer_norm(x, (C,), w.ln_1, w.ln_1_bias, w.epsilon)
    qkv = _linear(normed, w.attn, w.attn_bias).view(B, 3, w.n_head, -1)
    query, key, value = qkv.unbind(1)  # each (B, H, D)
    rows = torch.arange(B, device=x.device)
    keys[rows, :, lengths] = key
    values[rows, :, lengths] = value
    n_keys = visible.size(1)
    heads = _attend(query, keys[:, :, :n_keys], values[:, :, :n_keys], visible)
    x = x + _linear(heads.reshape(B, C), w.attn_proj, w.attn_proj_bias)
    normed = F.layer_norm(x, (C,), w.ln_2, w.ln_2_bias, w.epsilon)
    hidden = F.gelu(_linear(normed, w.fc, w.fc_bias), approximate="tanh")
    return x + _linear(hidden, w.mlp_proj, w.mlp_proj_bias)


def _last_step(
    x: Tensor,
    norm: Tensor,
    norm_bias: Tensor | None,
    epsilon: float,
    head: Tensor,
    head_bias: Tensor | None,
) -> Tensor:
    """Final norm and head: (B, C) to logits (B, V)."""
    normed = F.layer_norm(x, x.shape[1:], norm, norm_bias, epsilon)
    return _linear(normed, head, head_bias).float()


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer in the weight's dtype; a single row, compiled, as one reduction.

    The product of a matrix and a vector only reads the matrix. Written as a sum it is fused with
    what follows it.
    """
    if not torch.compiler.is_compiling() or x.size(0) > 1:
        return F.linear(x.to(weight.dtype), weight, bias)
    y = (weight.float() * x.to(weight.dtype).float()).sum(dim=-1)
    return (y if bias is None else y + bias)[None].to(weight.dtype)


def _attend(query: Tensor, keys: Tensor, values: Tensor, visible: Tensor) -> Tensor:
    """Attention of one new token per row: queries (B, H, D), keys (B, H, S, D) to (B, H, D).

    Compiled it is written as sums, which are fused and use the whole GPU for one row.
    """
    if not torch.compiler.is_compiling():
        heads = F.scaled_dot_product_attention(
            query[:, :, None], keys, values, attn_mask=visible[:, None, None]
        )
        return heads[:, :, 0]
    scale = 1 / math.sqrt(query.size(-1))
    scores = (query[:, :, None].float() * keys.float()).sum(dim=-1) * scale  # (B, H, S)
    weights = scores.masked_fill(~visible[:, None], -torch.inf).softmax(dim=-1)
    return (weights[..., None] * values.float()).sum(dim=2).to(query.dtype)
