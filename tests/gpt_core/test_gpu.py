"""Training and decoding on a GPU; skipped elsewhere.

On a machine with torch alone: ``python -m pytest -c /dev/null --rootdir . --noconftest
tests/gpt_core/test_gpu.py``.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.callbacks import Callback
from gpt_core.checkpoints import TOKENIZER
from gpt_core.config import (
    ComputeConfig,
    GPTConfig,
    PretrainConfig,
    ScheduleConfig,
    TrainingConfig,
)
from gpt_core.data import ShardWriter
from gpt_core.generation import Engine, Request, run
from gpt_core.models import GPT, build_model, load_model
from gpt_core.tokenizers import ByteTokenizer
from gpt_core.training import pretrain

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU here")

DEVICE: Literal["cuda"] = "cuda"
V, T = 257, 256
SHAPE = GPTConfig(n_layer=4, n_head=4, n_embd=128, vocab_size=V, context_length=T)


@pytest.fixture(scope="module")
def model() -> GPT:
    model = build_model(SHAPE, seed=0).eval().to(DEVICE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


def requests(n: int, **settings: object) -> list[Request]:
    generator = torch.Generator().manual_seed(n)
    lengths = torch.randint(1, 150, (n,), generator=generator).tolist()
    return [
        Request(
            prompt=tuple(torch.randint(V, (length,), generator=generator).tolist()),
            max_new_tokens=20 + seed % 50, seed=seed, **{"temperature": 0.0, **settings},
        )
        for seed, length in enumerate(lengths)
    ]  # fmt: skip


def texts(engine: Engine, asked: list[Request]) -> list[list[int]]:
    written: list[list[int]] = [[] for _ in asked]
    for index, update in run(engine, asked):
        written[index] += [choice.token_id for choice in update.tokens]
    return written


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0, "top_p": 0.9}])
@pytest.mark.parametrize("steps", ["recorded", "compiled"])
def test_graphs_decode_what_a_cpu_does(model: GPT, steps: str, settings: dict[str, object]) -> None:
    asked = requests(40, **settings)
    on_cpu = build_model(SHAPE, seed=0).eval()
    on_cpu.load_state_dict(model.state_dict())
    expected = texts(Engine(on_cpu, linears="plain"), asked)
    engine = Engine(model, n_slots=12, steps=steps)
    engine.prepare()
    written = texts(engine, asked)
    same = sum(map(list.__eq__, written, expected))
    assert same >= 38, "two may meet a tie that another order of summation decides"
    assert texts(Engine(model, n_slots=12, steps="plain"), asked)[:3] == written[:3]


def test_graphs_follow_weights_that_are_changed(model: GPT) -> None:
    engine, [asked, *_] = Engine(model, n_slots=1), requests(3)
    before = texts(engine, [asked])
    with torch.no_grad():
        model.wte.weight.neg_()
    changed = texts(engine, [replace(asked, prompt=(*asked.prompt[:1], *asked.prompt))])
    with torch.no_grad():
        model.wte.weight.neg_()
    assert texts(Engine(model, n_slots=1), [asked]) == before != changed


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("shards")
    text = np.frombuffer((Path(__file__).read_bytes() * 20), dtype=np.uint8).astype(np.uint16)
    with new_artifact(folder / "shards", kind="shards") as draft:
        tokenizer = ByteTokenizer()
        tokenizer.save(draft.directory / TOKENIZER)
        draft.info |= {"vocab_size": tokenizer.vocab_size, "eos_id": tokenizer.eos_id}
        for split, part in (("train", text), ("validation", text[:5000])):
            (draft.directory / split).mkdir()
            with ShardWriter(
                draft.directory / split / "part-00000.parquet",
                vocab_size=ByteTokenizer().vocab_size, eos_id=ByteTokenizer().eos_id,
                tokenizer_fingerprint="bytes",
            ) as writer:  # fmt: skip
                writer.write(part)
    return draft.artifact


class Stopped(Callback):
    """Interrupts a run at a step and keeps its losses."""

    def __init__(self, step: int | None = None) -> None:
        self._step, self.losses = step, dict[int, float]()

    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        if "train/loss" in metrics:
            self.losses[step] = metrics["train/loss"]
        if step == self._step:
            raise KeyboardInterrupt


def train(
    shards: Artifact, folder: Path, compiling: Literal["on", "off"], callback: Stopped
) -> Tensor:
    """All weights of a run of 60 steps."""
    shape = replace(SHAPE, vocab_size=ByteTokenizer().vocab_size, dropout=0.1)
    training = TrainingConfig(
        steps=60, tokens_per_step=32 * T, micro_batch=16, log_every=1, save_every=20, eval_every=30,
        eval_tokens=4096, sample_every=60,
    )  # fmt: skip
    compute = ComputeConfig(compile=compiling, device=DEVICE, deterministic=True)
    config = PretrainConfig(
        model=shape, training=training, compute=compute, schedule=ScheduleConfig(warmup_steps=5)
    )
    made = pretrain(shards, config, folder, callbacks=[callback])
    assert made.directory.name in ("step-00000060", "step-00000030")
    return torch.cat(
        [
            each.flatten()
            for each in load_model(folder / "step-00000060", torch.device("cpu")).parameters()
        ]
    )


@pytest.mark.parametrize("compiling", ["off", "on"])
def test_an_interrupted_run_on_a_gpu_continues(
    shards: Artifact, tmp_path: Path, compiling: Literal["on", "off"]
) -> None:
    undisturbed, first, second = Stopped(), Stopped(step=37), Stopped()
    expected = train(shards, tmp_path / "whole", compiling, undisturbed)
    with pytest.raises(KeyboardInterrupt):
        train(shards, tmp_path / "stopped", compiling, first)
    weights = train(shards, tmp_path / "stopped", compiling, second)
    losses = {**first.losses, **second.losses}
    assert losses.keys() == undisturbed.losses.keys() == set(range(1, 61))
    assert losses[60] < losses[1] - 1.5
    assert losses == undisturbed.losses
    assert torch.equal(weights, expected)
