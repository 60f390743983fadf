"""GPT: token ids in, logits of the next token out. Loss, sampling and decoding live elsewhere.

Each token becomes a vector, the sum of a token embedding (``wte``) and a position embedding
(``wpe``); ``n_layer`` blocks each add an update to that vector; the head compares the result with
the embedding of every token of the vocabulary.

Shapes: B batch, T time, C width, V vocabulary.
"""

import math

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gpt_core.config import GPTConfig
from gpt_core.errors import ConfigError
from gpt_core.models.block import TransformerBlock, build_norm
from gpt_core.models.kv_cache import KVCache
from gpt_core.models.layers import Dropout, Embedding
from gpt_core.models.packing import Packing
from gpt_core.models.slot_cache import SlotStep


class GPT(nn.Module):
    """A decoder-only transformer of the GPT-2 architecture, with GPT-2's parameter names.

    ``logits = LN_f(h_L) W_e^T`` with ``h_0 = W_e[token] + W_p[position]`` and
    ``h_l = block_l(h_{l-1})``; a tied head uses W_e as well.

    Args:
        config: The model's shape, with ``vocab_size`` set.

    Raises:
        ConfigError: If ``config.vocab_size`` is None.

    References:
        Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training",
        section 3.1; Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
        section 2.3; Press and Wolf 2017, "Using the Output Embedding to Improve Language Models".
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        if config.vocab_size is None:
            raise ConfigError(
                "model.vocab_size must be known to build a model: it is the tokenizer's"
            )
        self.config = config
        self.recompute, self.bf16_residual = False, False  # see set_execution
        self.wte = Embedding(config.vocab_size, config.n_embd)
        self.wpe = Embedding(config.context_length, config.n_embd)
        self.dropout = Dropout(config.dropout)
        self.h = nn.ModuleList(TransformerBlock(config, layer) for layer in range(config.n_layer))
        self.ln_f = build_norm(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.tie_head()
        if not self.wte.weight.is_meta:  # see allocate_model
            self.initialize()

    def tie_head(self) -> None:
        """Share the token embedding's weight with the head, if ``config.tied_head``."""
        if self.config.tied_head:
            self.lm_head.weight = self.wte.weight

    def set_execution(
        self, *, recompute: bool | None = None, bf16_residual: bool | None = None
    ) -> None:
        """Choose how the forward pass is executed; the weights are not affected.

        Args:
            recompute: Activation checkpointing: keep only each block's input for the backward
                pass and recompute the rest. The same gradients, less memory, more time.
            bf16_residual: Under autocast, keep the residual stream in autocast's dtype too; else
                it is in float32.
        """
        if recompute is not None:
            self.recompute = recompute
        if bf16_residual is not None:
            self.bf16_residual = bf16_residual

    def forward(self, token_ids: Tensor, cache: KVCache | SlotStep | None = None) -> Tensor:
        """Compute the logits of the next token at every position.

        Args:
            token_ids: Shape (B, T).
            cache: Keys and values of earlier tokens; those of the new tokens are appended.

        Returns:
            Logits, shape (B, T, V).

        Raises:
            ValueError: If T plus the cached tokens exceeds the context length.
        """
        logits: Tensor = self.lm_head(self.hidden(token_ids, cache))
        return logits

    def next_logits(self, token_ids: Tensor, cache: KVCache | SlotStep | None = None) -> Tensor:
        """Compute the logits of the token after the last: the last position of ``forward``.

        The head costs as much as several blocks, so decoding applies it to one position only.

        Args:
            token_ids: Shape (B, T).
            cache: Keys and values of earlier tokens; those of the new tokens are appended.

        Returns:
            Logits, shape (B, V).

        Raises:
            ValueError: If T plus the cached tokens exceeds the context length.
        """
        logits: Tensor = self.lm_head(self.hidden(token_ids, cache)[:, -1])
        return logits

    def hidden(
        self,
        token_ids: Tensor,
        cache: KVCache | SlotStep | None = None,
        packing: Packing | None = None,
    ) -> Tensor:
        """Compute the final hidden states: the input of the head.

        Args:
            token_ids: Shape (B, T).
            cache: Keys and values of earlier tokens; those of the new tokens are appended.
            packing: The sequences that one row holds (B is 1, no cache): each has positions from 0
                and sees itself alone, so its states are those of a row of its own.

        Returns:
            Shape (B, T, C), normalized by ``ln_f``.

        Raises:
            ValueError: If T plus the cached tokens, or a packed sequence, exceeds the context
                length.
        """
        start = 0 if cache is None else cache.length
        end = start + token_ids.size(1) if packing is None else packing.longest
        if end > self.config.context_length:
            raise ValueError(
                f"{end} tokens exceed the context length of {self.config.context_length}"
            )
        positions = torch.arange(start, end, device=token_ids.device)  # (T,)
        if packing is not None:
            positions = packing.positions
        if isinstance(cache, SlotStep):
            positions = cache.positions  # (B, T): each row has its own length
        x = self.dropout(self.wte(token_ids) + self.wpe(positions))  # (B, T, C)
        if self.bf16_residual and torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        for block in self.h:
            if self.recompute and torch.is_grad_enabled():
                x = checkpoint(block, x, None, packing, use_reentrant=False)
            else:
                x = block(x, cache, packing)
        if cache is not None:
            cache.advance(token_ids.size(1))
        out: Tensor = self.ln_f(x)
        return out

    @torch.no_grad()
    def initialize(
        self, generator: torch.Generator | None = None, *, zero_residual: bool = False
    ) -> None:
        """Initialize the weights as GPT-2 does.

        Normal with standard deviation 0.02; the output projections of attention and feed-forward
        network, which write into the residual stream, are scaled by 1 / sqrt(2 × n_layer), one
        over the root of the number of such writes, so that the stream's variance does not grow
        with depth. Biases start at 0, norms at 1.

        Args:
            generator: Source of randomness; None takes torch's global one.
            zero_residual: Initialize the output projections with 0 instead, so that each block
                starts as the identity.

        References:
            Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section
            2.3; Zhang et al. 2019, "Fixup Initialization" (zeros).
        """
        residual_std = 0.0 if zero_residual else 0.02 / math.sqrt(2 * self.config.n_layer)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif ".ln_" in f".{name}":
                parameter.fill_(1.0)
            else:
                std = residual_std if name.endswith("c_proj.weight") else 0.02
                parameter.normal_(0.0, std, generator=generator)
