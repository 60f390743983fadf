"""Time of an update on real instructions: packed, padded within pools of length, padded at random.

Run from the checkout: ``python -m benchmarks.packing``. Alpaca's examples with the tokenizer of
GPT-2 and random weights; all ways do their updates in turn, forward and backward. The seconds are
those of the CPU, so that other work on the machine counts little.
"""

import random
import statistics
import time

from benchmarks.report import DATA, publish
from gpt_core.config import GPTConfig, InstructionConfig
from gpt_core.data import ALPACA, encode_example
from gpt_core.execution.cpu import prepare_cpu
from gpt_core.finetuning.answer_loss import AnswerLoss
from gpt_core.finetuning.epochs import draw_batches
from gpt_core.finetuning.example_encoder import Row
from gpt_core.models import GPT
from gpt_core.text import read_instructions
from gpt_core.tokenizers import GPT2Tokenizer

SHAPE = GPTConfig(n_layer=4, n_head=4, n_embd=256, vocab_size=8192, context_length=512)
EXAMPLES = 1000
BATCH, UPDATES, TURNS = 8, 4, 3


def main() -> None:
    """Time every way in turn and append the table to the results."""
    rows, model = read_rows(), GPT(SHAPE)
    prepare_cpu(model.wte.weight.device)
    sizes, rng = [len(ids) for ids, _ in rows], random.Random(1)
    pooled = rng.sample(draw_batches(sizes, BATCH, rng), UPDATES)
    shuffled = [rng.sample(range(len(rows)), BATCH) for _ in range(UPDATES)]
    ways = {
        "packed": (True, shuffled),
        "padded, at random": (False, shuffled),
        "packed, in pools of length": (True, pooled),
        "padded, in pools of length": (False, pooled),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, (packing, batches) in ways.items():
            objective = AnswerLoss(model, 0, [], InstructionConfig(packing=packing))
            started = time.process_time()
            for batch in batches:
                objective.loss([rows[i] for i in batch]).backward()  # type: ignore[no-untyped-call]
            n_tokens = sum(sizes[i] for batch in batches for i in batch)
            seconds[name].append((time.process_time() - started) / n_tokens)
            model.zero_grad(set_to_none=True)
    best = {name: statistics.median(each) for name, each in seconds.items()}
    lines = ["| way | tokens per second of a core | seconds / packed |", "|---|---|---|"]
    for name, each in best.items():
        lines.append(f"| {name} | {1 / each:,.0f} | {each / best['packed']:.2f} |")
    how = (
        f"{len(rows):,} examples of Alpaca in its template, {SHAPE.n_layer} layers of "
        f"{SHAPE.n_embd}, updates of {BATCH} examples; real tokens alone are counted. Medians of "
        f"{TURNS} turns of {UPDATES} updates."
    )
    publish("Packing instructions", "packing", how, lines)


def read_rows() -> list[Row]:
    """The examples that fit into the context."""
    tokenizer = GPT2Tokenizer.from_release(DATA / "gpt2")
    examples = read_instructions(DATA / "instruct" / "alpaca_5k.json").rows[:EXAMPLES]
    rows = (encode_example(example, tokenizer, ALPACA) for example in examples)
    return [_in_vocabulary(row) for row in rows if len(row[0]) <= SHAPE.context_length]


def _in_vocabulary(row: Row) -> Row:
    """An example whose ids fit into a vocabulary of the size that small models have."""
    ids, targets = row
    size = SHAPE.vocab_size or 1
    return [i % size for i in ids], [t if t < 0 else t % size for t in targets]


if __name__ == "__main__":
    main()
