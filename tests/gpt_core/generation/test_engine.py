"""The engine: requests join, leave and are cancelled without a trace in their neighbours."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from gpt_core.config import GPTConfig
from gpt_core.errors import DataError
from gpt_core.generation import Choice, Engine, Request, Update, run
from gpt_core.models import GPT, build_model

V, T = 40, 32


@pytest.fixture(scope="module")
def model() -> GPT:
    """A model whose continuations vary, so that a wrong token or position has an effect."""
    config = GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=V, context_length=T)
    model = build_model(config, seed=3).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
    return model


def request(*prompt: int, **settings: Any) -> Request:
    return Request(prompt=prompt, **({"max_new_tokens": 6, "temperature": 1.0} | settings))


def finish(engine: Engine, request_id: int) -> list[Update]:
    """The updates of a request until its end; others may run beside it."""
    updates: list[Update] = []
    while not updates or updates[-1].finish is None:
        updates += [each for each in engine.step() if each.request_id == request_id]
    return updates


def answer(model: GPT, asked: Request, **engine: Any) -> tuple[list[int], str | None]:
    updates = [update for _, update in run(Engine(model, **engine), [asked])]
    return ids(updates), updates[-1].finish


def ids(updates: Sequence[Update]) -> list[int]:
    return [choice.token_id for update in updates for choice in update.tokens]


@torch.inference_mode()
def logprobs(model: GPT, text: Sequence[int]) -> torch.Tensor:
    """The log-probabilities of every next token, computed without a cache, (T, V)."""
    return model(torch.tensor([text]))[0].log_softmax(dim=-1)


def test_requests_that_join_and_leave_do_not_change_each_other(model: GPT) -> None:
    asked = [
        request(*range(1, 1 + n), max_new_tokens=3 + 5 * (n % 3), seed=n, temperature=n % 2)
        for n in range(1, 12)
    ]
    alone = [answer(model, each) for each in asked]
    assert len({tuple(tokens) for tokens, _ in alone}) > 8, "their answers differ"
    engine = Engine(model, n_slots=3, prefill_chunk=4)
    together: list[list[Update]] = [[] for _ in asked]
    for index, update in run(engine, asked):
        together[index].append(update)
    assert [(ids(each), each[-1].finish) for each in together] == alone
    assert (engine.n_free, engine.n_active) == (3, 0)


def test_a_cancelled_request_frees_its_slot_and_gets_no_update(model: GPT) -> None:
    engine = Engine(model, n_slots=3, prefill_chunk=4)
    asked = [request(n, n + 1, max_new_tokens=20, seed=n) for n in range(2)]
    kept, dropped = map(engine.add, asked)
    late = engine.add(request(*range(12)))
    with pytest.raises(RuntimeError, match="all 3 slots are occupied"):
        engine.add(request(1))
    updates = [update for _ in range(4) for update in engine.step()]
    for request_id in (dropped, late, late, 99):
        engine.cancel(request_id)
    assert engine.n_free == 2
    before = ids([update for update in updates if update.request_id == kept])
    assert before
    joined = engine.add(request(7, seed=9))
    updates = finish(engine, kept)
    assert {update.request_id for update in updates} == {kept}
    assert before + ids(updates) == answer(model, asked[0])[0]
    assert joined not in (kept, dropped, late)


def test_a_full_context_ends_a_request_and_the_last_place_is_used(model: GPT) -> None:
    for n in (1, T - 1, T):
        text = torch.randint(V, (n,), generator=torch.Generator().manual_seed(n)).tolist()
        tokens, why = answer(model, request(*text, max_new_tokens=1000, temperature=0))
        assert (len(tokens), why) == (T - n + 1, "length")
        whole = [*text, *tokens]
        expected = logprobs(model, whole[:-1]).argmax(dim=-1)[n - 1 :]
        assert tokens == expected.tolist()
    with pytest.raises(DataError, match="33 tokens, which exceed the context of 32"):
        Engine(model).add(request(*[1] * (T + 1)))


def test_a_stop_id_ends_a_request_and_is_not_part_of_it(model: GPT) -> None:
    tokens, why = answer(model, request(1, 2, max_new_tokens=9, temperature=0))
    assert why == "length"
    last = tokens[-1]
    stopped = request(1, 2, max_new_tokens=9, temperature=0, stop_ids=frozenset([last]))
    assert answer(model, stopped) == (tokens[: tokens.index(last)], "stop")


def test_the_prompt_is_scored_whatever_the_chunks(model: GPT) -> None:
    text = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
    asked = request(*text, max_new_tokens=0, score_prompt=True, logprobs=3)
    expected = logprobs(model, text)
    for chunk in (1, 4, 100):
        [(_, update)] = run(Engine(model, prefill_chunk=chunk), [asked])
        assert (update.tokens, update.finish) == ((), "length")
        assert update.prompt is not None
        assert [choice.token_id for choice in update.prompt] == text
        assert update.prompt[0] == Choice(3)
        for place, choice in enumerate(update.prompt[1:]):
            row = expected[place]
            assert choice.logprob == pytest.approx(row[choice.token_id].item(), abs=1e-4)
            best = row.topk(3)
            assert [token_id for token_id, _ in choice.top] == best.indices.tolist()
    [first, *_] = [update for _, update in run(Engine(model), [replace(asked, max_new_tokens=2)])]
    assert first.prompt is not None
    assert len(first.prompt) == len(text)
    assert len(first.tokens) == 1


def test_log_probabilities_are_of_the_raw_logits(model: GPT) -> None:
    asked = request(5, 6, logprobs=2, temperature=0.3, logit_bias={7: 1.5}, seed=4)
    plain = request(8, seed=2)
    engine = Engine(model)
    chosen: list[Choice] = []
    for index, update in run(engine, [asked, plain]):
        if index == 0:
            chosen += update.tokens
        else:
            assert all(choice.logprob is None and not choice.top for choice in update.tokens)
    text = [5, 6]
    for choice in chosen:
        row = logprobs(model, text)[-1]
        assert choice.logprob == pytest.approx(row[choice.token_id].item(), abs=1e-4)
        assert [token_id for token_id, _ in choice.top] == row.topk(2).indices.tolist()
        text.append(choice.token_id)


def test_bias_and_repetition_penalty_change_what_is_chosen(model: GPT) -> None:
    forced = request(1, temperature=0, logit_bias={9: 1e4})
    assert answer(model, forced)[0] == [9] * 6
    penalized = request(1, temperature=0, logit_bias={9: 1e4}, repetition_penalty=1e6)
    tokens, _ = answer(model, penalized)
    assert tokens[0] == 9
    text, expected = [1], []
    for _ in range(6):  # the formula, one token after the other
        logits = model(torch.tensor([text]))[0, -1].tolist()
        adjusted = [
            (x / 1e6 if x > 0 else x * 1e6) if token_id in text else x
            for token_id, x in enumerate(logits)
        ]
        adjusted[9] += 1e4
        expected.append(adjusted.index(max(adjusted)))
        text.append(expected[-1])
    assert tokens == expected


@pytest.mark.parametrize("where", ["prompt", "answer"])
def test_numbers_that_are_not_finite_do_not_outlive_their_request(model: GPT, where: str) -> None:
    engine = Engine(model, n_slots=2)
    neighbour = request(4, max_new_tokens=12)
    asked = [neighbour, request(2, 3), request(5, 6, 7)]
    expected = [answer(model, each) for each in asked]
    kept = engine.add(neighbour)
    poisoned = engine.add(request(1, 2, 3, 4, 5, 6, max_new_tokens=20))
    before = ids([update for update in engine.step() if update.request_id == kept])
    with torch.no_grad():
        row = model.wpe.weight[5 if where == "prompt" else 7]
        good = row.clone()
        row.fill_(torch.nan)
        for _ in range(4 if where == "answer" else 2):
            before += ids([update for update in engine.step() if update.request_id == kept])
        row.copy_(good)
    assert engine.n_active == 2
    engine.cancel(poisoned)
    again = [ids(finish(engine, engine.add(each))) for each in asked[1:]]
    assert again == [tokens for tokens, _ in expected[1:]]
    assert before == expected[0][0][: len(before)]


def test_slots_and_chunks_are_at_least_one(model: GPT) -> None:
    with pytest.raises(ValueError, match="0 slots"):
        Engine(model, n_slots=0)
    with pytest.raises(ValueError, match="chunks of 0"):
        Engine(model, prefill_chunk=0)


def test_a_run_that_is_left_early_frees_its_slots(model: GPT) -> None:
    engine = Engine(model, n_slots=2)
    updates = run(engine, (request(n, max_new_tokens=9) for n in range(10)))
    next(updates)
    assert engine.n_active == 2
    updates.close()
    assert engine.n_active == 0


def test_a_common_prefix_is_computed_once_and_changes_nothing(model: GPT) -> None:
    engine = Engine(model, n_slots=3, prefill_chunk=4)
    shared = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]  # two whole chunks
    asked = [
        request(*shared, max_new_tokens=12, seed=1),
        request(*shared, 7, 8, seed=2),
        request(*shared[:8], seed=3),  # its last token must be computed, so one chunk is shared
        request(*shared[:6], 0, 0, 0, temperature=0, seed=4),
        request(*shared, 7, score_prompt=True),
        request(9, *shared, seed=5),
    ]
    first = engine.add(asked[0])
    before = ids([each for _ in range(3) for each in engine.step()])
    n_reused = []
    for each in asked[1:]:  # while the first runs, and in slots that others have left
        seen = engine.n_reused
        updates = []
        request_id = engine.add(each)
        n_reused.append(engine.n_reused - seen)
        while not updates or updates[-1].finish is None:
            for update in engine.step():
                if update.request_id == request_id:
                    updates.append(update)
                elif update.request_id == first:
                    before += ids([update])
        assert (ids(updates), updates[-1].finish) == answer(model, each)
    assert n_reused == [8, 4, 4, 0, 0]
    assert before == answer(model, asked[0])[0]
    again = engine.add(asked[0])
    assert engine.n_reused == 16 + 8, "of a slot whose request has ended"
    assert ids(finish(engine, again)) == answer(model, asked[0])[0]
