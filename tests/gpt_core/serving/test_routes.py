"""Answers of the routes: streamed, whole, seeded, scored, and in the right order."""

import http.client
import math
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from served import Reply, ask, byte_checkpoint, events, serving

from gpt_core.data.prompts import TEMPLATES
from gpt_core.models import load_model
from gpt_core.serving.server import Server
from gpt_core.tokenizers import ByteTokenizer

TOKENIZER = ByteTokenizer()


def complete(server: Server, **body: Any) -> Any:
    answer = ask(f"{server.url}/v1/completions", {"model": "pretrained", "seed": 3, **body})
    assert answer.status == 200, answer.content
    return events(answer.content) if body.get("stream") else answer.json


def joined(chunks: list[Any], index: int) -> str:
    return "".join(
        choice["text"]
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )


def test_a_stream_is_the_whole_answer_and_what_its_ids_decode_to(server: Server) -> None:
    draw = random.Random(4)
    for prompt in ("In winter", "في الشتاء", "🙂👩‍🚀", [1, 2, 3]):
        text = complete(server, prompt=prompt, max_tokens=60)["choices"][0]["text"]
        start = draw.randrange(len(text) - 4)
        for stops in ([], [text[start : start + 3], text[-2:]], ["nowhere", text[:1]]):
            asked = {"prompt": prompt, "max_tokens": 60, "stop": stops, "n": 2, "logprobs": 1}
            whole = complete(server, **asked, return_token_ids=True)
            options = {"stream": True, "stream_options": {"include_usage": True}}
            chunks = complete(server, **asked, **options)
            for choice in whole["choices"]:
                own = [c for chunk in chunks for c in chunk["choices"]
                       if c["index"] == choice["index"]]  # fmt: skip
                assert joined(chunks, choice["index"]) == choice["text"]
                assert own[-1]["finish_reason"] == choice["finish_reason"]
                assert all(each["text"] or each["finish_reason"] for each in own)
                tokens = [t for each in own for t in each["logprobs"]["tokens"]]
                assert tokens == choice["logprobs"]["tokens"]
                decoded = TOKENIZER.decode(choice["token_ids"])
                assert decoded.startswith(choice["text"])
                if choice["finish_reason"] == "length":
                    assert decoded == choice["text"]
            assert chunks[-1]["choices"] == []
            assert chunks[-1]["usage"] == whole["usage"]
            assert all(chunk["usage"] is None for chunk in chunks[:-1])
        stopped = complete(server, prompt=prompt, max_tokens=60, stop=text[start : start + 3])
        found = stopped["choices"][0]
        assert (found["finish_reason"], text.startswith(found["text"])) == ("stop", True)
        assert text[start : start + 3] not in found["text"]


def test_a_seed_gives_the_same_answer_alone_in_a_crowd_and_after_a_restart(
    server: Server, checkpoints: dict[str, Path]
) -> None:
    asked = [{"prompt": f"seed {i}", "max_tokens": 40, "seed": i} for i in range(8)]
    alone = [complete(server, **each)["choices"][0]["text"] for each in asked]
    crowd: dict[int, str] = {}

    def join(index: int) -> None:
        crowd[index] = complete(server, **asked[index])["choices"][0]["text"]

    threads = [threading.Thread(target=join, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [crowd[index] for index in range(8)] == alone
    with serving([checkpoints["pretrained"]], slots=2) as again:
        assert [complete(again, **each)["choices"][0]["text"] for each in asked] == alone
    several = complete(server, prompt="seed 0", max_tokens=40, seed=0, n=3)
    assert several["choices"][0]["text"] == alone[0]
    assert len({choice["text"] for choice in several["choices"]}) == 3
    unseeded = [complete(server, prompt="a", max_tokens=40, seed=None) for _ in range(2)]
    assert unseeded[0]["choices"][0]["text"] != unseeded[1]["choices"][0]["text"]


def test_choices_come_in_the_order_of_prompts(server: Server) -> None:
    prompts = ["one", "two", "three"]
    answer = complete(server, prompt=prompts, n=2, max_tokens=5, echo=True, seed=7)
    assert [choice["index"] for choice in answer["choices"]] == list(range(6))
    assert [choice["text"].startswith(prompts[i // 2]) for i, choice in
            enumerate(answer["choices"])] == [True] * 6  # fmt: skip
    usage = answer["usage"]
    assert usage["prompt_tokens"] == sum(len(prompt) + 1 for prompt in prompts)
    assert usage["completion_tokens"] == 30
    as_ids = complete(server, prompt=[TOKENIZER.encode(each) for each in prompts], max_tokens=5)
    assert as_ids["usage"]["prompt_tokens"] == sum(map(len, prompts))
    alone = complete(server, prompt="three", max_tokens=5, seed=7 + 4)["choices"][0]["text"]
    assert answer["choices"][4]["text"] == "three" + alone


def test_scored_prompts_have_the_model_s_own_probabilities(
    server: Server, checkpoints: dict[str, Path]
) -> None:
    """The requests are those of lm-evaluation-harness' ``local-completions``."""
    model, draw = load_model(checkpoints["pretrained"]), random.Random(2)
    lines = [[draw.randrange(256) for _ in range(draw.randint(4, 120))] for _ in range(20)]
    shared = {"prompt": lines, "logprobs": 1, "seed": 1234, "echo": True}
    whole = complete(server, **shared, max_tokens=0)
    harness = [
        complete(server, **{**shared, "prompt": lines[i : i + 5]}, max_tokens=1, temperature=0)
        for i in range(0, 20, 5)
    ]
    generated = [choice for answer in harness for choice in answer["choices"]]
    for line, scored, longer in zip(lines, whole["choices"], generated, strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([line]))[0].log_softmax(-1)
        expected = [float(logits[i, token]) for i, token in enumerate(line[1:])]
        found = scored["logprobs"]["token_logprobs"]
        assert found[0] is None
        assert found[1:] == pytest.approx(expected, abs=1e-3)
        assert longer["logprobs"]["token_logprobs"][1:-1] == pytest.approx(expected, abs=1e-3)
        best = [max(top.values()) for top in scored["logprobs"]["top_logprobs"][1:]]
        assert best == pytest.approx(logits[:-1].max(-1).values.tolist(), abs=1e-3)
        assert scored["text"] == TOKENIZER.decode(line)
    text = complete(server, prompt="ab", echo=True, max_tokens=0, logprobs=0)["choices"][0]
    with torch.inference_mode():
        first = model(torch.tensor([[TOKENIZER.eos_id]]))[0, 0].log_softmax(-1)[ord("a")]
    assert text["logprobs"]["token_logprobs"][0] == pytest.approx(float(first), abs=1e-3)
    assert (text["text"], text["logprobs"]["text_offset"]) == ("ab", [0, 1])


def test_a_bias_and_greedy_decoding_choose_the_token(server: Server) -> None:
    forced = complete(server, prompt="a", max_tokens=6, logit_bias={"120": 100}, temperature=0)
    assert forced["choices"][0]["text"] == "xxxxxx"
    ended = complete(server, prompt="a", max_tokens=6, logit_bias={"256": 100}, temperature=0)
    assert (ended["choices"][0]["text"], ended["choices"][0]["finish_reason"]) == ("", "stop")
    greedy = {complete(server, prompt="a", max_tokens=20, temperature=0, seed=seed)
              ["choices"][0]["text"] for seed in (1, 2)}  # fmt: skip
    top = complete(server, prompt="a", max_tokens=20, top_k=1, seed=9)["choices"][0]["text"]
    assert greedy == {top}
    excluded = complete(server, prompt="a", max_tokens=1, logprobs=1, temperature=0,
                        logit_bias={"256": -100})["choices"][0]["logprobs"]  # fmt: skip
    assert all(math.isfinite(value) for value in excluded["token_logprobs"])


def test_a_full_context_ends_an_answer_and_a_longer_prompt_is_refused(server: Server) -> None:
    full = complete(server, prompt=[65] * 250, max_tokens=100, logit_bias={"256": -100})
    assert full["choices"][0]["finish_reason"] == "length"
    assert 6 <= full["usage"]["completion_tokens"] <= 7
    refused = ask(f"{server.url}/v1/completions", {"prompt": [65] * 257})
    assert refused.json["error"]["code"] == "context_length_exceeded"
    assert "257 tokens, and pretrained reads 256 at most" in refused.message


def test_a_chat_is_asked_in_the_template_of_the_model(server: Server) -> None:
    template = TEMPLATES["short"]

    def asked(messages: list[Any], **more: Any) -> list[int]:
        body = {"model": "instruction", "messages": messages, "max_tokens": 1, **more}
        answer = ask(f"{server.url}/v1/chat/completions", {**body, "return_token_ids": True})
        assert answer.status == 200, answer.content
        ids: list[int] = answer.json["choices"][0]["prompt_token_ids"]
        return ids

    def said(role: str, text: str) -> dict[str, str]:
        return {"role": role, "content": text}

    encode, eos = TOKENIZER.encode, TOKENIZER.eos_id
    assert asked([said("user", "Who?")]) == encode(template.format("Who?"))
    assert asked([said("user", "Who?")], input="A text.") == encode(
        template.format("Who?", "A text.")
    )
    assert asked([said("system", "Be brief."), said("user", "Who?")]) == encode(
        template.format("Be brief.\n\nWho?")
    )
    turns = [said("user", "a"), said("assistant", "b"), said("user", "c")]
    assert asked(turns) == [
        *encode(template.format("a")), *encode("b"), eos, *encode(template.format("c"))
    ]  # fmt: skip
    refused = ask(
        f"{server.url}/v1/chat/completions",
        {"model": "pretrained", "messages": [said("user", "Who?")]},
    )
    assert "was not tuned on instructions: ask /v1/completions" in refused.message


def test_texts_are_classified_and_tokens_shown(server: Server) -> None:
    found = ask(f"{server.url}/v1/classify", {"input": ["Win a prize", ""]}).json
    for row in found["data"]:
        assert sum(row["probs"]) == pytest.approx(1)
        assert row["scores"][row["label"]] == max(row["probs"])
    single = ask(f"{server.url}/v1/classify", {"input": "Win a prize"}).json["data"][0]
    assert single["probs"] == pytest.approx(found["data"][0]["probs"], abs=1e-5)
    assert single["tokens_not_read"] == 0
    long = ask(f"{server.url}/v1/classify", {"input": "a" * 70}).json
    assert (long["data"][0]["tokens_not_read"], long["usage"]["prompt_tokens"]) == (6, 64)
    wrong = ask(f"{server.url}/v1/classify", {"model": "pretrained", "input": "a"})
    assert wrong.message == "pretrained is a language model: ask /v1/completions"
    text = "كتاب <|endoftext|> 🙂"
    for model, special in (("pretrained", [256]), ("instruction", [])):
        ids = ask(f"{server.url}/tokenize", {"model": model, "prompt": text}).json["tokens"]
        assert ids == [*special, *text.encode()]
    assert ask(f"{server.url}/detokenize", {"tokens": ids}).json == {"prompt": text}


def test_a_kept_connection_is_answered_without_waiting(server: Server) -> None:
    connection, seconds = http.client.HTTPConnection("127.0.0.1", server.port), []
    for _ in range(20):
        started = time.perf_counter()
        connection.request("GET", "/health")
        assert connection.getresponse().read() == b'{"status":"ok"}'
        seconds.append(time.perf_counter() - started)
    connection.close()
    assert min(seconds[1:]) < 0.03, "each response waits for an acknowledgement (TCP_NODELAY)"


def test_one_model_takes_the_place_of_another_while_it_runs(
    tmp_path: Path, checkpoints: dict[str, Path]
) -> None:
    from dataclasses import replace

    from gpt_core.serving.models import given_checkpoint

    other = byte_checkpoint(tmp_path / "other", "pretrained", seed=9)
    first, second = (
        replace(given_checkpoint(path), name="pretrained")
        for path in (checkpoints["pretrained"], other.directory)
    )
    found: list[Reply] = []

    def keep_asking(server: Server) -> None:
        for _ in range(20):
            found.append(ask(f"{server.url}/v1/completions", {"prompt": "a", "max_tokens": 5}))

    with serving([checkpoints["pretrained"]], slots=2) as server:
        before = complete(server, prompt="a", max_tokens=5)
        running: list[Reply] = []
        body = {"prompt": "a", "max_tokens": 250, "seed": 1, "logit_bias": {"256": -100}}
        threads = [threading.Thread(target=keep_asking, args=(server,)) for _ in range(3)]
        threads.append(
            threading.Thread(
                target=lambda: running.append(ask(f"{server.url}/v1/completions", body))
            )
        )
        for thread in threads:
            thread.start()
        for given in (second, first, second):
            server.models.replace(given)
        after = complete(server, prompt="a", max_tokens=5)
        for thread in threads:
            thread.join()
    assert {reply.status for reply in found} == {200}
    assert before["system_fingerprint"] != after["system_fingerprint"] == other.fingerprint
    assert before["choices"][0]["text"] != after["choices"][0]["text"]
    assert running[0].status == 200
    assert running[0].json["usage"]["completion_tokens"] == 250
