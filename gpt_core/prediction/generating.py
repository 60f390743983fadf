"""Prompts to what a language model writes, or a model tuned on instructions answers."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpt_core.checkpoints import CONFIG, TOKENIZER
from gpt_core.config import DecodingConfig
from gpt_core.data import find_template
from gpt_core.execution import resolve_device
from gpt_core.generation import Engine, beam_search, run, template_of, to_request
from gpt_core.models import load_adapted, load_model
from gpt_core.tokenizers import load_tokenizer

_SLOTS = 8

_Asked = tuple[tuple[int, ...], int]
"""A prompt's ids and its seed."""

_Decoded = tuple[int, list[int], str]
"""A prompt's index, new ids of it, and how it ended if it has."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Input of a language model."""

    text: str
    """The beginning of a text, or an instruction."""

    context: str
    """The input of an instruction; may be empty."""

    seed: int
    """Seed of its own sampling, so that the other prompts change nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """Text that a model wrote."""

    text: str
    prompt_tokens: int
    tokens: int
    """The tokens that were written."""

    finish: str
    """``stop`` if the model ended the text, ``length`` if the tokens or the context were used up;
    empty with a problem."""

    problem: str | None = None
    """Why nothing was written."""


class TextGenerator:
    """The language model of a checkpoint, with its instruction template if it has one.

    Threads may share it: their calls wait for one another.

    Args:
        checkpoint: The checkpoint's directory.
        device: Where it computes; ``auto`` prefers a GPU.
        adapter: The directory of an adapter for the checkpoint, used without merging.

    Raises:
        CheckpointError: If the checkpoint is damaged or a classifier's, its prompt template is
            unknown, or the adapter does not belong to it.
        ConfigError: If the device is not there.
    """

    def __init__(
        self,
        checkpoint: Path,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        adapter: Path | None = None,
    ) -> None:
        self._template = find_template(template_of(checkpoint, adapter), checkpoint / CONFIG)
        place = resolve_device(device)
        self._model = (
            load_model(checkpoint, place)
            if adapter is None
            else load_adapted(checkpoint, adapter, place)
        )
        # Not chosen by a trial of their speed: a run that is continued must end with the same bits.
        self._engine = Engine(self._model, n_slots=_SLOTS, linears="packed")
        self._lock = threading.Lock()
        self._tokenizer = load_tokenizer(checkpoint / TOKENIZER)

    @property
    def follows_instructions(self) -> bool:
        """Whether the model was tuned on instructions."""
        return self._template is not None

    def complete(self, prompts: Sequence[Prompt], decoding: DecodingConfig) -> list[Completion]:
        """Write a continuation of each prompt, or its answer.

        Args:
            prompts: The prompts.
            decoding: Sampling, and the most tokens; each prompt has a seed of its own.
        """
        encoded = [self._encode(prompt) for prompt in prompts]
        limit = self._model.config.context_length
        fitting = [index for index, ids in enumerate(encoded) if len(ids) <= limit]
        written: list[list[int]] = [[] for _ in prompts]
        finish = [""] * len(prompts)
        decode = self._search if decoding.beams > 1 else self._sample
        with self._lock:
            asked = [(tuple(encoded[index]), prompts[index].seed) for index in fitting]
            for number, new, ended in decode(asked, decoding):
                written[fitting[number]] += new
                finish[fitting[number]] = ended
        return [
            Completion(
                text=self._tokenizer.decode(new),
                prompt_tokens=len(ids),
                tokens=len(new),
                finish=ended,
                problem=None
                if len(ids) <= limit
                else f"the prompt has {len(ids):,} tokens, the context of the model {limit:,}",
            )
            for ids, new, ended in zip(encoded, written, finish, strict=True)
        ]

    def _sample(self, asked: Sequence[_Asked], decoding: DecodingConfig) -> Iterator[_Decoded]:
        """Decode prompts together in the engine."""
        eos_id = self._tokenizer.eos_id
        requests = [to_request(ids, decoding, seed, eos_id) for ids, seed in asked]
        for number, update in run(self._engine, requests):
            yield number, [token.token_id for token in update.tokens], update.finish or ""

    def _search(self, asked: Sequence[_Asked], decoding: DecodingConfig) -> Iterator[_Decoded]:
        """Find the most probable text of each prompt by beam search."""
        eos_id = self._tokenizer.eos_id
        for number, (ids, _) in enumerate(asked):
            best = beam_search(self._model, ids, decoding.beams, decoding.max_new_tokens, eos_id)[0]
            ended = best.token_ids[-1] == eos_id
            new = best.token_ids[:-1] if ended else best.token_ids
            yield number, list(new), "stop" if ended else "length"

    def _encode(self, prompt: Prompt) -> list[int]:
        """The ids of a prompt, as ``gptflow generate`` forms them."""
        if self._template is not None:
            return self._tokenizer.encode(self._template.format(prompt.text, prompt.context))
        return [self._tokenizer.eos_id, *self._tokenizer.encode(prompt.text)]
