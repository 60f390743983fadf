"""Two hundred bodies that no client should send: each is refused in a sentence, none breaks."""

import http.client
import json
import socket
from typing import Any

import pytest
from served import ask

from gpt_core.serving.errors import ApiError
from gpt_core.serving.json_body import check, parse
from gpt_core.serving.server import Server
from gpt_core.serving.shapes import ChatBody, CompletionBody

WRONG_VALUES: dict[str, list[Any]] = {
    "prompt": [None, 3, True, [], [[]], [1, "a"], [["a"]], {}, [-1], [257], [2**40], [1.5], [True],
               ["a"] * 257, [[1], "a"], "a" * 300],
    "n": [0, -1, True, "3", 1.5, 129, 2**70, [], {}],
    "max_tokens": [-1, True, "8", 2.5, 257, 2**63, [], 0],
    "temperature": [-0.1, True, "1", 101, 10**400, [], {}],
    "top_p": [0, -1, 1.1, True, "1", []],
    "top_k": [-2, True, 1.5, "4", 2**40],
    "repetition_penalty": [0, -1, 101, True, "1"],
    "seed": [-1, True, 1.5, "1", 2**63],
    "stop": [3, [3], [""], "", ["a"] * 5, "a" * 65, [None], {}, True],
    "logprobs": [-1, 21, True, "1", 1.5],
    "echo": [1, "true", []],
    "stream": [1, "true", []],
    "stream_options": [3, {"include_usage": 1}, {"more": True}, {"include_usage": True}],
    "logit_bias": [3, [], {"a": 1}, {"1": "1"}, {"1": 101}, {"1": True}, {"999": 1}, {"-1": 1},
                   {"1.0": 1}, {"٣": 1}],
    "model": [3, True, [], "nobody", "classifier", "x" * 5000],
    "tools": [[{"type": "function"}], {}, "none"],
    "response_format": [{"type": "json_object"}, "json", 1],
    "presence_penalty": [0.5, "0", False, True],
    "best_of": [2, True],
    "suffix": ["end", 1],
    "temprature": [1],
    "return_token_ids": [1, "yes"],
}  # fmt: skip
WRONG_MESSAGES: list[Any] = [
    None, 3, "hi", [], {}, ["hi"], [{}], [{"role": "user"}], [{"content": "a"}],
    [{"role": "robot", "content": "a"}], [{"role": "user", "content": 3}],
    [{"role": "user", "content": None}], [{"role": "user", "content": [{"type": "image_url"}]}],
    [{"role": "user", "content": [{"type": "text", "text": 3}]}],
    [{"role": "user", "content": "a", "tool_calls": [1]}], [{"role": "assistant", "content": "a"}],
    [{"role": "user", "content": "a", "x": 1}], [{"role": "user", "content": "a" * 300}],
    [{"role": "user", "content": "a"}] * 513,
]  # fmt: skip
WRONG_CHATS: list[dict[str, Any]] = [
    {"max_tokens": 0}, {"max_completion_tokens": 0}, {"top_logprobs": 3}, {"logprobs": 1},
    {"logprobs": True, "top_logprobs": 21}, {"input": 3}, {"model": "pretrained"}, {"echo": True},
]  # fmt: skip
RAW = [
    b"", b"null", b"[]", b"3", b'"text"', b"{", b'{"prompt": }', b"\xff\xfe", b"\x00", b"{}x",
    b'{"prompt": "a", "temperature": NaN}', b'{"prompt": "a", "temperature": Infinity}',
    b'{"prompt": "a", "temperature": -Infinity}', b'{"prompt": "a", "temperature": 1e999}',
    b'{"prompt": "a", "temperature": -1e999}', b'{"prompt": "a", "n": 1e999}',
    b'{"prompt": "a", "n": ' + b"9" * 5000 + b"}", b'{"prompt": "\\ud800"}',
    b'{"prompt": "a", "user": "\\udfff"}', b'{"prompt": "a", "\\ud800": 1}',
    b'{"prompt": "a", "stop": ["\\ud83d"]}', b'{"prompt": "a", "prompt": "b"}',
    b'{"prompt": "a", "logit_bias": {"1": 1, "1": 2}}', b"[" * 100_000, b'{"a":' * 100_000,
    b'{"prompt": ' + b"[" * 100_000, b'{"prompt": "a\nb"}', b"{'prompt': 'a'}",
    b'{"prompt": "a",}', b'\xef\xbb\xbf{"prompt": "a"}', b'{"prompt": "\xd8"}',
]  # fmt: skip


def bodies() -> list[tuple[str, bytes]]:
    """Routes and bodies."""
    found = [
        ("/v1/completions", json.dumps({"prompt": "a", name: value}).encode())
        for name, values in WRONG_VALUES.items()
        for value in values
    ]
    chat: dict[str, Any] = {
        "model": "instruction", "messages": [{"role": "user", "content": "a"}]
    }  # fmt: skip
    changed = [{**chat, "messages": value} for value in WRONG_MESSAGES]
    changed += [{**chat, **each} for each in WRONG_CHATS]
    found += [("/v1/chat/completions", json.dumps(each).encode()) for each in changed]
    found += [("/v1/completions", content) for content in RAW]
    found += [("/v1/chat/completions", content) for content in RAW]
    for route, name in (
        ("/v1/classify", "input"),
        ("/tokenize", "prompt"),
        ("/detokenize", "tokens"),
    ):
        wrong = [None, 3, True, [3.5], [None], {}, [""] * 300 + [3], [2**40]]
        found += [(route, json.dumps({name: value}).encode()) for value in wrong]
    return found


def test_every_malformed_body_is_refused_in_a_sentence(server: Server, count: Any) -> None:
    cases, connection = bodies(), http.client.HTTPConnection("127.0.0.1", server.port)
    assert len(cases) >= 200
    answered = []
    for route, content in cases:
        connection.request("POST", route, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        is_sentence = 10 < len(answer.get("error", {}).get("message", "")) < 400
        if not (400 <= response.status < 500 and is_sentence):
            answered.append((route, content[:80], response.status, answer))
    connection.close()
    assert not answered
    count("malformed bodies", len(cases))
    assert ask(f"{server.url}/health").status == 200


def test_a_body_without_an_end_or_too_large_is_given_up(server: Server) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"pro\r\n')
        assert b" 408 " in client.recv(200)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head + b"Content-Length: 2000000\r\n\r\n")
        assert b" 413 " in client.recv(200)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        with pytest.raises(ConnectionError):  # it answers before everything is sent, and closes
            for _ in range(1000):
                client.sendall(chunk)
    assert ask(f"{server.url}/health").status == 200


def test_messages_name_the_field_and_what_it_takes() -> None:
    def refused(shape: Any, **value: Any) -> tuple[str, str | None]:
        with pytest.raises(ApiError) as error:
            check(value, shape)
        return error.value.message, error.value.param

    user = {"role": "user", "content": [{"type": "image_url"}]}
    assert refused(CompletionBody, prompt="a", n=True)[1] == "n"
    assert refused(CompletionBody, prompt="a", stop=[3]) == (
        "stop: must be up to 4 texts of 1 to 64 characters", "stop"
    )  # fmt: skip
    assert refused(ChatBody, messages=[user])[1] == "messages.0.content"
    assert (
        refused(CompletionBody, prompt="a", tools=[1])[0] == "tools is not supported: leave it out"
    )
    assert refused(CompletionBody)[0] == "prompt: this field is needed"


def test_fields_that_change_nothing_are_accepted() -> None:
    body = parse(
        b'{"prompt": "a", "user": "me", "tools": [], "presence_penalty": 0, "suffix": null,'
        b' "response_format": {"type": "text"}, "metadata": {"deep": [1]}}'
    )
    assert check(body, CompletionBody).prompts == ["a"]
