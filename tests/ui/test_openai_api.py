"""/v1, asked by the real openai client as programs ask it."""

import shutil
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from engine import Engine
from tests.engine.answers import LLAMA, ask
from tests.models import write_model
from tests.serving import serving
from ui.openai_api import openai_routes

HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def address(engine: Engine) -> Iterator[str]:
    with serving(openai_routes(engine)) as address:
        yield address


@pytest.fixture(scope="module")
def client(engine: Engine, address: str) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{address}/v1", api_key=engine.api_key.reveal(), max_retries=0, timeout=60
    ) as client:
        yield client


def complete(client: OpenAI, **given: Any) -> Any:
    """A greedy answer of 24 tokens unless told."""
    chosen = {"model": LLAMA, "messages": HELLO, "temperature": 0, "max_tokens": 24, **given}
    return client.chat.completions.create(**chosen)


def streamed(client: OpenAI, **given: Any) -> list[Any]:
    return list(complete(client, stream=True, **given))


def text_of(chunks: list[Any]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_models_are_listed_and_found_by_name(client: OpenAI) -> None:
    ids = {model.id for model in client.models.list()}
    assert {"pomona/guide", LLAMA, "tiny/chunked"} <= ids
    assert client.models.retrieve(LLAMA).id == LLAMA


def test_models_that_cannot_chat_are_not_listed(client: OpenAI, engine: Engine) -> None:
    base = write_model(engine.settings.models_dir / "tiny" / "base", template=None)
    try:
        assert "tiny/base" not in {model.id for model in client.models.list()}
    finally:
        shutil.rmtree(base)


@pytest.mark.parametrize("model", [LLAMA, "tiny/chunked"])
def test_an_answer_is_that_of_the_engine(client: OpenAI, engine: Engine, model: str) -> None:
    answer = complete(client, model=model)
    assert answer.choices[0].message.content == ask(engine, "hello", model).text
    assert (answer.model, answer.choices[0].finish_reason) == (model, "length")
    assert answer.usage.completion_tokens == 24
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 24


def test_a_streamed_answer_is_the_same_in_pieces(client: OpenAI) -> None:
    chunks = streamed(client)
    assert text_of(chunks) == complete(client).choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_comes_last_when_it_is_asked_for(client: OpenAI) -> None:
    *chunks, last = streamed(client, stream_options={"include_usage": True})
    assert last.choices == [] and last.usage.completion_tokens == 24
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_an_answer_ends_before_a_stop_string(client: OpenAI, is_streamed: bool) -> None:
    whole = complete(client).choices[0].message.content
    if is_streamed:
        chunks = streamed(client, stop=whole[5:7])
        said, reason = text_of(chunks), chunks[-1].choices[0].finish_reason
    else:
        answer = complete(client, stop=[whole[5:7], "~"])
        said, reason = answer.choices[0].message.content, answer.choices[0].finish_reason
    assert (said, reason) == (whole[:5], "stop")


def test_a_seed_makes_an_answer_that_can_be_had_again(client: OpenAI) -> None:
    def drawn(seed: int) -> str:
        return str(complete(client, temperature=1.5, seed=seed).choices[0].message.content)

    assert drawn(2**40 + 1) == drawn(2**40 + 1) != drawn(2)


def test_the_newer_name_of_the_limit_counts(client: OpenAI) -> None:
    assert complete(client, max_completion_tokens=3).usage.completion_tokens == 3


def test_an_answer_that_is_written_on_goes_on(client: OpenAI, engine: Engine) -> None:
    whole = complete(client).choices[0].message.content
    begun = [*HELLO, {"role": "assistant", "content": whole[:4]}]
    assert complete(client, messages=begun, max_tokens=6).choices[0].message.content == whole[4:10]


@pytest.mark.parametrize("key", ["", "wrong", "pomona-", "pomona-" + "x" * 43])
def test_a_wrong_key_opens_nothing(address: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}" if key else ""}
    with OpenAI(base_url=f"{address}/v1", api_key="-", max_retries=0, timeout=60) as stranger:
        for call in (stranger.models.list, lambda **more: complete(stranger, **more)):
            with pytest.raises(openai.AuthenticationError) as caught:
                call(extra_headers=headers)  # type: ignore[operator]
            assert caught.value.code == "invalid_api_key"


def test_a_revoked_key_opens_nothing(address: str, engine: Engine, client: OpenAI) -> None:
    old = engine.api_key.reveal()
    new = engine.api_key.renew()
    assert old != new
    try:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
        with OpenAI(base_url=f"{address}/v1", api_key=new, max_retries=0) as renewed:
            assert renewed.models.list().data
    finally:
        client.api_key = new


@pytest.mark.parametrize("name", ["nobody/nothing", "../../etc", "a/b/c", "x" * 400, "a\0b"])
def test_an_unknown_model_is_not_found(client: OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        complete(client, model=name)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [7]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [*HELLO, {"role": "user", "content": 7}]}, "messages[1].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
         "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]},
         "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "word " * 2000}]}, "messages"),
        ({"model": 7}, "model"),
        ({"model": ""}, "model"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_p": 2}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"seed": -3}, "seed"),
        ({"seed": "x"}, "seed"),
        ({"n": 2}, "n"),
        ({"n": -1}, "n"),
        ({"stop": 7}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream": True, "stream_options": "usage"}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"extra_body": {"top_k": -1}}, "top_k"),
        ({"extra_body": {"repetition_penalty": 0.5}}, "repetition_penalty"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_field_named(
    client: OpenAI, given: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        complete(client, **given)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_a_conversation_too_long_says_so_by_its_code(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        complete(client, stream=True, messages=[{"role": "user", "content": "z" * 5000}])
    assert caught.value.code == "context_length_exceeded"


def test_fields_that_are_null_or_OpenAIs_own_are_taken(client: OpenAI) -> None:
    more = {
        "user": "me", "store": False, "stop": None, "seed": None, "n": 1, "top_p": 0,
        "logit_bias": {}, "response_format": {"type": "text"}, "presence_penalty": 0,
    }  # fmt: skip
    assert complete(client, **more).choices[0].finish_reason == "length"
