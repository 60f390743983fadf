"""Time until a slot that a client left is free, and until a full queue answers.

``python -m benchmarks.serving_limits [--checkpoint DIR] [--turns 40]``

Without a checkpoint it is a random model of 6 layers, 192 wide. All slots decode, and the queue is
full. A client that goes closes its connection in the middle of its stream; its slot is free when
another one's first token arrives, or when ``/metrics`` says so. The server is a process of its own,
and the times are those that a client sees.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import torch

from benchmarks.report import publish
from benchmarks.serving import SLOTS, random_model, serving
from gpt_core.checkpoints import TOKENIZER, read_description
from gpt_core.cores import usable_cores
from gpt_core.tokenizers import load_tokenizer

_QUEUE = 4
_PROMPT = (1, 2, 3, 4)
_POLL = 0.002  # seconds

Asked = dict[str, object]
"""The body of a request."""


def main() -> None:
    """Measure and append to the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--turns", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(max(1, usable_cores() - 1))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = options.checkpoint or random_model(Path(folder) / "random-6x192")
        with serving(checkpoint, _QUEUE) as (url, _):
            asked = _request(checkpoint)
            found = asyncio.run(_measure(url, asked, options.turns))
    lines = ["| | median, ms | 95th percentile | longest |", "|---|---|---|---|"]
    lines += [_row(name, seconds) for name, seconds in found.items()]
    how = (
        f"{checkpoint.name}: {SLOTS} slots that decode and {_QUEUE} requests that wait, "
        f"{options.turns} turns; {torch.get_num_threads()} decoding thread; server and clients "
        "are two processes."
    )
    publish("Serving: slots and queue", "serving_limits", how, lines)


def _row(name: str, seconds: Sequence[float]) -> str:
    ordered = sorted(1000 * each for each in seconds)
    late = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"| {name} | {statistics.median(ordered):.1f} | {late:.1f} | {ordered[-1]:.1f} |"


def _request(checkpoint: Path) -> Asked:
    """A request that keeps its slot: as long as the context allows, and without an end."""
    eos = load_tokenizer(checkpoint / TOKENIZER).eos_id
    most = read_description(checkpoint).model.context_length - len(_PROMPT)
    return {
        "prompt": list(_PROMPT), "max_tokens": most, "stream": True, "temperature": 1.0, "seed": 1,
        "logit_bias": {str(eos): -100},
    }  # fmt: skip


async def _measure(url: str, asked: Asked, turns: int) -> dict[str, list[float]]:
    """The seconds of each turn, by what was measured."""
    found: dict[str, list[float]] = {
        "slot free after its client went": [],
        "first token of the one that waited": [],
        "429 of a full queue": [],
    }
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits) as client:
        for _ in range(turns):
            found["slot free after its client went"].append(await _time_to_free(client, asked))
            waited, refused = await _time_with_full_queue(client, asked)
            found["first token of the one that waited"].append(waited)
            found["429 of a full queue"].append(refused)
    return found


async def _time_to_free(client: httpx.AsyncClient, asked: Asked) -> float:
    """Seconds from the end of a connection until its slot is free, all slots decoding."""
    while True:
        async with AsyncExitStack() as running, AsyncExitStack() as leaving:
            stacks = [leaving, *[running] * (SLOTS - 1)]
            await asyncio.gather(*(_first_token(client, asked, stack) for stack in stacks))
            if await _count(client, "running") == SLOTS:  # none has ended by itself
                await leaving.aclose()
                return await _seconds_until(client, SLOTS - 1)


async def _time_with_full_queue(client: httpx.AsyncClient, asked: Asked) -> tuple[float, float]:
    """Seconds until the first in the queue has a token of a slot that was left, and of a 429."""
    async with AsyncExitStack() as running, AsyncExitStack() as leaving:
        stacks = [leaving, *[running] * (SLOTS - 1)]
        await asyncio.gather(*(_first_token(client, asked, stack) for stack in stacks))
        waiting = [
            asyncio.ensure_future(_first_token(client, asked, running)) for _ in range(_QUEUE)
        ]
        for _ in range(100):
            if await _count(client, "waiting") == _QUEUE:
                break
            await asyncio.sleep(_POLL)
        started = time.perf_counter()
        refused = await client.post("/v1/completions", json=asked)
        seconds = time.perf_counter() - started
        is_full = refused.status_code == 429
        started = time.perf_counter()
        await leaving.aclose()
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        taken = time.perf_counter() - started
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await _seconds_until(client, 0)
    # Where an answer ended by itself meanwhile, the queue was not full: once more then.
    return (taken, seconds) if is_full else await _time_with_full_queue(client, asked)


async def _first_token(client: httpx.AsyncClient, asked: Asked, stack: AsyncExitStack) -> None:
    """Ask for a long answer and read its first token; the connection ends with the stack."""
    stream = client.stream("POST", "/v1/completions", json=asked)
    response = await stack.enter_async_context(stream)
    assert response.status_code == 200
    async for line in response.aiter_lines():
        if line.startswith("data: {") and json.loads(line.removeprefix("data: "))["choices"]:
            return


async def _count(client: httpx.AsyncClient, what: str) -> int:
    text = (await client.get("/metrics")).text
    name = f"vllm:num_requests_{what}{{"
    return int(float(next(x for x in text.splitlines() if x.startswith(name)).split()[-1]))


async def _seconds_until(client: httpx.AsyncClient, running: int) -> float:
    """Seconds until so many requests have a slot."""
    started = time.perf_counter()
    while await _count(client, "running") > running:
        await asyncio.sleep(_POLL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
