"""Tools, log-probabilities and plain completions under /v1, asked by the real openai client."""

import json
import math
import shutil
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from engine import Engine
from tests.engine.answers import LLAMA
from tests.engine.inference_thread import loaded_model, on_thread
from tests.models import TOOLS_TEMPLATE, write_model, write_script
from tests.scripted_server import KEY, Scripted, scripted_server
from tests.serving import serving
from ui.openai_api import openai_routes

HELLO: Any = [{"role": "user", "content": "hello"}]
CALLER, BASE = "calls/caller", "calls/base"
FIND = {"name": "find", "description": "Finds.", "parameters": {"type": "object"}}
TOOLS: Any = [{"type": "function", "function": FIND}]
CALL = '{"name": "find", "arguments": {"word": "apples"}}'


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[OpenAI]:
    folder = engine.settings.models_dir
    script = ["Let me see. ", "<tool_call>", CALL, "</tool_call>"]
    write_script(folder / CALLER, script, TOOLS_TEMPLATE)
    write_model(folder / BASE, template=None)
    with (
        serving(openai_routes(engine)) as address,
        OpenAI(
            base_url=f"{address}/v1", api_key=engine.api_key.reveal(), max_retries=0, timeout=60
        ) as client,
    ):
        yield client
    shutil.rmtree(folder / "calls")


@pytest.fixture(scope="module")
def server(engine: Engine) -> Iterator[Scripted]:
    """Another server, known as “lab”."""
    with scripted_server() as server:
        engine.remote.add("lab", server.url, KEY)
        yield server
        engine.remote.remove("lab")


def chat(client: OpenAI, **given: Any) -> Any:
    chosen = {"model": CALLER, "messages": HELLO, "temperature": 0, "max_tokens": 24, **given}
    return client.chat.completions.create(**chosen)


def complete(client: OpenAI, **given: Any) -> Any:
    chosen = {"model": LLAMA, "prompt": "hello", "temperature": 0, "max_tokens": 16, **given}
    return client.completions.create(**chosen)


def test_a_model_calls_a_tool_and_answers_its_result(client: OpenAI) -> None:
    answer = chat(client, tools=TOOLS, tool_choice="auto")
    (choice,) = answer.choices
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me see. ")
    assert (call.type, call.function.name) == ("function", "find")
    assert json.loads(call.function.arguments) == {"word": "apples"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "three"}
    said = [*HELLO, choice.message.model_dump(exclude_none=True), result]
    again = chat(client, messages=said, tools=TOOLS)
    assert again.usage.prompt_tokens > answer.usage.prompt_tokens + len("three")
    assert again.choices[0].message.content


def test_a_streamed_call_is_the_same_in_pieces(client: OpenAI) -> None:
    chunks = list(chat(client, tools=TOOLS, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    assert [(call.index, call.function.name) for call in calls] == [(0, "find")]
    assert json.loads(calls[0].function.arguments) == {"word": "apples"}
    assert "".join(delta.content or "" for delta in deltas) == "Let me see. "
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_model_told_to_call_none_writes_text(client: OpenAI) -> None:
    for given in ({}, {"tools": TOOLS, "tool_choice": "none"}):
        (choice,) = chat(client, **given).choices
        assert choice.finish_reason == "stop" and choice.message.tool_calls is None
        assert CALL in choice.message.content


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"model": LLAMA, "tools": TOOLS}, "tools"),
        ({"tools": "find"}, "tools"),
        ({"tools": [7]}, "tools[0]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": TOOLS * 129}, "tools"),
        ({"tools": TOOLS, "tool_choice": "required"}, "tool_choice"),
        ({"messages": [*HELLO, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]},
         "messages[0].tool_calls[0].function.name"),
        ({"messages": [{"role": "assistant", "tool_calls": [
            {"id": "x", "function": {"name": "f", "arguments": "["}}]}]},
         "messages[0].tool_calls[0].function.arguments"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": 1}, "logprobs"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_field_named(
    client: OpenAI, given: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, **given)
    assert caught.value.param == param


def test_logprobs_come_with_their_tokens_streamed_or_not(client: OpenAI) -> None:
    whole = chat(client, model=LLAMA, logprobs=True, top_logprobs=2).choices[0]
    tokens = whole.logprobs.content
    assert len(tokens) == 24
    assert bytes(b for token in tokens for b in token.bytes).decode() == whole.message.content
    for token in tokens:
        first, second = token.top_logprobs
        assert (first.token, first.logprob) == (token.token, token.logprob)
        assert second.logprob <= first.logprob <= 0
    chunks = chat(client, model=LLAMA, logprobs=True, top_logprobs=2, stream=True)
    streamed = [
        token
        for chunk in chunks
        if chunk.choices[0].logprobs
        for token in chunk.choices[0].logprobs.content
    ]
    assert [token.token for token in streamed] == [token.token for token in tokens]
    assert all(
        math.isclose(one.logprob, other.logprob, abs_tol=1e-3)
        for one, other in zip(streamed, tokens, strict=True)
    )


def test_no_logprobs_unless_asked(client: OpenAI) -> None:
    assert chat(client, model=LLAMA).choices[0].logprobs is None


def test_a_text_is_written_on_without_a_template(client: OpenAI, engine: Engine) -> None:
    answer = complete(client)
    model = loaded_model(engine, LLAMA)
    prompt = on_thread(engine, lambda: model.encode("hello"))
    assert answer.object == "text_completion" and answer.choices[0].finish_reason == "length"
    assert answer.usage.prompt_tokens == len(prompt) == 5
    whole = answer.choices[0].text
    assert complete(client, prompt="hello" + whole[:4]).choices[0].text[:12] == whole[4:]
    assert complete(client, prompt=["hello"], stop=whole[3:5]).choices[0].text == whole[:3]


@pytest.mark.parametrize("model", [LLAMA, "tiny/chunked", "tiny/recurrent", BASE])
def test_a_streamed_text_is_the_same_in_pieces(client: OpenAI, model: str) -> None:
    options = {"include_usage": True}
    *chunks, last = complete(client, model=model, stream=True, stream_options=options)
    assert "".join(chunk.choices[0].text for chunk in chunks) == (
        complete(client, model=model).choices[0].text
    )
    assert (last.choices, last.usage.completion_tokens) == ([], 16)


def test_logprobs_of_a_text_have_their_older_form(client: OpenAI) -> None:
    (choice,) = complete(client, logprobs=2).choices
    logprobs = choice.logprobs
    assert "".join(logprobs.tokens) == choice.text
    assert logprobs.text_offset == list(range(16))
    for token, value, likeliest in zip(
        logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True
    ):
        assert likeliest[token] == value and len(likeliest) == 2


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": "z" * 5000}, "prompt"),
        ({"prompt": "z" * 500_000}, "prompt"),
        ({"echo": True}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": -1}, "logprobs"),
        ({"max_tokens": -1}, "max_tokens"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_texts_that_cannot_be_written_on_are_refused(
    client: OpenAI, given: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        complete(client, **given)
    assert caught.value.param == param


def test_models_of_other_servers_are_listed_and_answer(client: OpenAI, server: Scripted) -> None:
    assert "lab:well" in {model.id for model in client.models.list()}
    assert client.models.retrieve("lab:well").owned_by == "lab"
    (choice,) = chat(client, model="lab:well").choices
    assert choice.message.content == "Hello wörld"
    assert choice.message.reasoning_content == "hm hm"


def test_their_tool_calls_are_passed_on(client: OpenAI, server: Scripted) -> None:
    (choice,) = chat(client, model="lab:calls", tools=TOOLS).choices
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, call.id, call.function.name) == ("tool_calls", "c7", "find")
    assert call.function.arguments == '{"word": "x"}'
    assert server.bodies[-1]["tools"] == TOOLS
    said = [*HELLO, choice.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": "c7", "content": "three"}]  # fmt: skip
    chat(client, model="lab:well", messages=said)
    assert server.bodies[-1]["messages"][1]["tool_calls"][0]["id"] == "c7"
    assert server.bodies[-1]["messages"][2]["tool_call_id"] == "c7"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_what_another_server_does_badly_is_an_error(
    client: OpenAI, server: Scripted, is_streamed: bool
) -> None:
    with pytest.raises(openai.APIError) as caught:
        answer = chat(client, model="lab:dies", stream=is_streamed)
        for _ in answer:
            pass
    assert caught.value.code == "remote_failed"
    with pytest.raises(openai.BadRequestError):
        chat(client, model="lab:well", logprobs=True)
    with pytest.raises(openai.BadRequestError):
        complete(client, model="lab:well")
