"""OpenAI's own client understands every answer and every error."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from served import serving

from gpt_core.serving.server import Server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_models_are_listed(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names == ["pretrained", "instruction", "classifier"]
    assert client.models.retrieve("instruction").owned_by == "gptflow"


def test_completions_whole_and_streamed(client: OpenAI) -> None:
    answer = client.completions.create(
        model="pretrained", prompt=["In", "On"], n=2, max_tokens=6, seed=1, echo=True, logprobs=2,
        stop=["zzz"],
    )  # fmt: skip
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 24
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens is not None
    assert len(logprobs.tokens) == 8
    stream = client.completions.create(
        model="pretrained", prompt=[73, 110], max_tokens=6, seed=1, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    chunks = list(stream)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 8
    assert chunks[-2].choices[0].finish_reason == "length"


def test_chats_whole_and_streamed(client: OpenAI) -> None:
    asked = {"model": "instruction", "seed": 5, "max_completion_tokens": 12}
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
    answer = client.chat.completions.create(  # type: ignore[call-overload]
        messages=messages, logprobs=True, top_logprobs=3, **asked
    )
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert len(choice.logprobs.content) == answer.usage.completion_tokens
    assert all(len(token.top_logprobs) == 3 for token in choice.logprobs.content)
    chunks = list(client.chat.completions.create(messages=messages, stream=True, **asked))  # type: ignore[call-overload]
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == choice.message.content
    assert chunks[-1].choices[0].finish_reason == choice.finish_reason


def test_errors_are_its_typed_exceptions(client: OpenAI, server: Server) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'nobody'") as missing:
        client.completions.create(model="nobody", prompt="a")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="temperature") as wrong:
        client.completions.create(model="pretrained", prompt="a", temperature=-1)
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="pretrained", input="a")
    with pytest.raises(openai.BadRequestError, match="tools is not supported"):
        client.chat.completions.create(
            model="instruction", messages=[{"role": "user", "content": "a"}],
            tools=[{"type": "function", "function": {"name": "f"}}],
        )  # fmt: skip


def test_a_key_is_asked_for(checkpoints: dict[str, Path]) -> None:
    with serving([checkpoints["pretrained"]], key="0123456789") as server:
        for given, works in (("0123456789", True), ("0123456788", False)):
            with OpenAI(base_url=f"{server.url}/v1", api_key=given, max_retries=0) as client:
                if works:
                    assert client.models.list().data[0].id == "pretrained"
                else:
                    with pytest.raises(openai.AuthenticationError):
                        client.models.list()
