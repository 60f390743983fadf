"""The judge against a real server on this machine, with every fault that servers have."""

import socket
import threading
import time
from collections.abc import Callable

import pytest
from judge_server import GARBLED, MUTE, ODD, JudgeServer, always

from gpt_core.config import JudgeConfig
from gpt_core.errors import ConfigError
from gpt_core.judging import Item, Judge, score_item, score_items, score_question

MakeJudge = Callable[..., Judge]
ITEM = Item(instruction="Name a red fruit.", input="", reference="an apple", answer="an apple")


def ask(judge: Judge, item: Item = ITEM, scale: str = "rubric") -> tuple[float | None, str]:
    score = score_item(judge, item, scale)  # type: ignore[arg-type]
    return score.value, score.reason


def test_a_request_has_the_schema_and_the_reference_and_the_reply_is_scored(
    make_judge: MakeJudge,
) -> None:
    with JudgeServer().serving() as server:
        score = score_item(make_judge(server.url, key="k3y-of-the-judge"), ITEM, "rubric")
    assert (score.value, score.status, score.read_as, score.mode) == (
        5.0, "scored", "json", "json_schema",
    )  # fmt: skip
    assert (score.calls, score.prompt_tokens, score.completion_tokens) == (1, 100, 20)
    (body,), (headers,) = server.bodies, server.headers
    form = body["response_format"]["json_schema"]
    assert form["strict"]
    assert list(form["schema"]["properties"]) == ["rationale", "score"]
    assert "an apple" in body["messages"][0]["content"]
    assert (body["model"], body["temperature"], body["seed"]) == ("test", 0.0, 1337)
    assert headers["Authorization"] == "Bearer k3y-of-the-judge"


@pytest.mark.parametrize("mode", ODD)
def test_a_score_in_an_odd_form_is_read_without_asking_again(
    mode: str, make_judge: MakeJudge
) -> None:
    with JudgeServer(choose=always(mode)).serving() as server:
        assert ask(make_judge(server.url)) == (5.0, "")
    assert server.calls == 1


@pytest.mark.parametrize("mode", GARBLED)
def test_an_unreadable_reply_is_asked_about_and_has_a_reason_in_the_end(
    mode: str, make_judge: MakeJudge
) -> None:
    with JudgeServer(choose=always(mode)).serving() as server:
        judge = make_judge(server.url)
        value, reason = ask(judge)
        assert value is None
        assert reason.startswith("no usable reply: ")
        assert server.calls == 3  # once, and two corrections
        said = server.bodies[-1]["messages"]
        assert [message["role"] for message in said] == ["user", *["assistant", "user"] * 2]
        assert reason.removeprefix("no usable reply: ") in said[-1]["content"]
        assert not judge.stopped
        server.choose = always("ok")
        assert ask(make_judge(server.url))[0] is None  # the same replies, from the cache
        assert server.calls == 3


@pytest.mark.parametrize("mode", GARBLED)
def test_a_judge_that_corrects_itself_is_believed(mode: str, make_judge: MakeJudge) -> None:
    server = JudgeServer(choose=lambda body, _: mode if len(body["messages"]) == 1 else "ok")
    with server.serving():
        assert ask(make_judge(server.url)) == (5.0, "")


REASONS = {
    "stall": "no answer in time", "drip": "no complete reply within", "drip-headers": "no complete",
    "close": "ended before it was complete", "huge": "longer than judge.max_bytes",
    "busy": "HTTP 429: too many requests",
    "broken": "HTTP 500: internal error", "html": "no chat completion", "no-choices": "no chat",
}  # fmt: skip


@pytest.mark.parametrize("mode", MUTE)
def test_a_call_without_a_reply_is_tried_again_and_costs_no_more_than_its_limits(
    mode: str, make_judge: MakeJudge
) -> None:
    with JudgeServer(choose=always(mode)).serving() as server:
        judge = make_judge(server.url, answer_seconds=1.0)
        started = time.monotonic()
        value, reason = ask(judge)
        seconds = time.monotonic() - started
        assert value is None
        assert REASONS[mode] in reason
        assert seconds < 2 * 1.0
        assert server.calls == (1 if mode.startswith("drip") else 3)
        server.choose = always("ok")
        assert ask(make_judge(server.url)) == (5.0, "")  # what had no reply is asked again


def test_the_schema_is_left_out_for_a_server_that_refuses_it(make_judge: MakeJudge) -> None:
    items = [Item(instruction=f"{n}?", input="", reference="a", answer="a") for n in range(6)]
    with JudgeServer(choose=always("refuse-forms")).serving() as server:
        scores = score_items(make_judge(server.url), items, "rubric")
        assert [score.value for score in scores] == [5.0] * 6
        forms = [body.get("response_format", {}).get("type", "plain") for body in server.bodies]
        assert forms == ["json_schema", "json_object", "plain"] * 3 + ["plain"] * 3
        assert [score.mode for score in scores] == ["plain"] * 6
        again = score_items(make_judge(server.url), items, "rubric")
        assert [score.value for score in again] == [5.0] * 6
        assert server.calls == 12


def test_one_refusal_does_not_cost_the_schema_of_the_others(make_judge: MakeJudge) -> None:
    def choose(body: dict[str, object], _: object) -> str:
        return "refuse-json_schema" if "odd" in str(body["messages"]) else "ok"

    names = ("1", *[f"odd {n}" for n in range(5)], "7")
    items = [Item(instruction=name, input="", reference="a", answer="a") for name in names]
    with JudgeServer(choose=choose).serving() as server:
        scores = score_items(make_judge(server.url), items, "rubric")
    modes = [score.mode for score in scores]
    assert modes == ["json_schema", *["json_object"] * 5, "json_schema"]


def test_a_refused_request_has_the_servers_reason(make_judge: MakeJudge) -> None:
    with JudgeServer(choose=always("refuse")).serving() as server:
        judge = make_judge(server.url, breaker=1)
        assert ask(judge) == (None, "HTTP 400: the prompt is longer than the context")
        assert not judge.stopped  # it is there, and does not take this one


def test_the_hundred_is_asked_in_the_tutorials_words(make_judge: MakeJudge) -> None:
    with JudgeServer().serving() as server:
        assert ask(make_judge(server.url), scale="hundred") == (100.0, "")
    text = server.bodies[0]["messages"][0]["content"]
    assert text == (
        "Given the input `Below is an instruction that describes a task. Write a response that "
        "appropriately completes the request.\n\n### Instruction:\nName a red fruit.` and correct "
        "output `an apple`, score the model response `an apple` on a scale from 0 to 100, where "
        "100 is the best score. Respond with the integer number only."
    )
    assert "response_format" not in server.bodies[0]


def test_an_empty_answer_is_the_worst_without_a_call(make_judge: MakeJudge) -> None:
    with JudgeServer().serving() as server:
        for text in ("", " \n"):
            item = Item(instruction="?", input="", reference="a", answer=text)
            assert ask(make_judge(server.url), item) == (1.0, "the answer is empty")
            assert ask(make_judge(server.url), item, "hundred")[0] == 0.0
    assert server.calls == 0


def test_samples_have_seeds_of_their_own_and_the_median_counts(make_judge: MakeJudge) -> None:
    grades = iter([0.0, 1.0, 0.5])
    with JudgeServer(grade=lambda reference, answer: next(grades)).serving() as server:
        score = score_item(make_judge(server.url, samples=3), ITEM, "rubric")
    assert (score.value, score.spread, score.calls) == (3.0, 4.0, 3)
    assert [body["seed"] for body in server.bodies] == [1337, 1338, 1339]


def test_retry_after_is_obeyed_within_its_bound(make_judge: MakeJudge) -> None:
    modes = iter(["busy", "ok"] * 2)
    with JudgeServer(choose=lambda body, _: next(modes), retry_after="1").serving() as server:
        started = time.monotonic()
        assert ask(make_judge(server.url, retry_after_seconds=5.0)) == (5.0, "")
        assert 1.0 <= time.monotonic() - started < 2.0
        server.retry_after = "3600"
        other = Item(instruction="Another?", input="", reference="a", answer="a")
        started = time.monotonic()
        assert ask(make_judge(server.url, retry_after_seconds=0.2), other) == (5.0, "")
        assert 0.2 <= time.monotonic() - started < 1.0


def test_a_date_in_retry_after_is_read() -> None:
    from email.utils import formatdate

    from gpt_core.judging.client import _seconds

    assert _seconds(formatdate(time.time() + 20, usegmt=True)) == pytest.approx(20, abs=2)
    assert _seconds("soon") is None
    assert _seconds("9" * 400) is not None


@pytest.mark.parametrize("mode", ["stall", "drip-headers", "busy", "refused connection"])
def test_a_dead_judge_costs_at_most_twice_its_limits(mode: str, make_judge: MakeJudge) -> None:
    """After ``breaker`` answers it is not asked any more, and every answer has the reason."""
    items = [Item(instruction=f"{n}?", input="", reference="a", answer="a") for n in range(200)]
    with JudgeServer(choose=always(mode), retry_after="60").serving() as server:
        url = server.url
        if mode == "refused connection":
            with socket.create_server(("127.0.0.1", 0)) as closed:
                url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        judge = make_judge(url, answer_seconds=0.4, breaker=5)
        started = time.monotonic()
        scores = score_items(judge, items, "rubric")
        seconds = time.monotonic() - started
    assert seconds < 2 * 5 * 0.4
    assert len(scores) == 200
    assert all(score.value is None and score.reason for score in scores)
    assert "no reply to 5 answers in a row" in scores[-1].reason
    assert judge.totals.calls <= 5 * 3


def test_the_whole_run_has_a_limit(make_judge: MakeJudge) -> None:
    items = [Item(instruction=f"{n}?", input="", reference="a", answer="a") for n in range(50)]
    with JudgeServer(slow_seconds=0.1).serving() as server:
        judge = make_judge(server.url, run_seconds=1.0)
        started = time.monotonic()
        scores = score_items(judge, items, "rubric")
        assert time.monotonic() - started < 2.0
    scored = [score for score in scores if score.value is not None]
    assert 1 <= len(scored) < 50
    assert "judge.run_seconds=1" in scores[-1].reason


def test_a_redirect_is_not_followed_and_a_key_goes_nowhere_else(make_judge: MakeJudge) -> None:
    with JudgeServer(choose=always("redirect")).serving() as server:
        judge = make_judge(server.url, key="k3y-of-the-judge")
        reason = ask(judge)[1]
        assert "redirects to" in reason
        assert "set judge.url" in reason
        assert judge.stopped
    assert len(server.headers) == 1  # nothing came to the other address


def test_a_key_that_the_server_repeats_is_in_no_reason(make_judge: MakeJudge) -> None:
    with JudgeServer(choose=always("unauthorized")).serving() as server:
        judge = make_judge(server.url, key="k3y-of-the-judge")
        assert ask(judge) == (None, "HTTP 401: Incorrect API key provided: ***")
        assert judge.stopped
        other = Item(instruction="Another?", input="", reference="a", answer="a")
        assert "not asked: HTTP 401" in ask(judge, other)[1]
    assert server.calls == 1


def test_several_threads_ask_at_once_and_the_order_stays(make_judge: MakeJudge) -> None:
    items = [
        Item(instruction=f"{n}?", input="", reference="a b c d", answer="a b c d" if n % 2 else "e")
        for n in range(40)
    ]
    with JudgeServer(slow_seconds=0.1).serving() as server:
        started = time.monotonic()
        scores = score_items(make_judge(server.url, concurrency=20), items, "rubric")
        assert time.monotonic() - started < 2.0
    assert [score.value for score in scores] == [1.0, 5.0] * 20


def test_a_stopped_run_ends_its_calls_at_once(make_judge: MakeJudge) -> None:
    with JudgeServer(choose=always("stall")).serving() as server:
        judge = make_judge(server.url, read_seconds=30.0, answer_seconds=30.0)
        timer = threading.Timer(0.3, judge.close)
        timer.start()
        started = time.monotonic()
        assert judge.ask(score_question(ITEM, "rubric")).replied is False
        assert time.monotonic() - started < 5.0
        timer.join()


@pytest.mark.parametrize(
    ("url", "model"),
    [
        ("http://me:secret@127.0.0.1/v1", "m"), ("http://127.0.0.1/v1?key=secret", "m"),
        ("127.0.0.1:11434", "m"), ("ftp://127.0.0.1", "m"), ("http://127.0.0.1:99999", "m"),
        ("http://127.0.0.1 /v1", "m"), ("http://127.0.0.1:11434/v1", None),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_one_sentence(url: str, model: str | None) -> None:
    with pytest.raises(ConfigError, match=r"(url|model) must") as caught:
        JudgeConfig(url=url, model=model)
    assert "secret" not in str(caught.value)
