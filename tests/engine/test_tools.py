"""Models that call tools: their calls come whole, and what is none is text."""

import json
import shutil
from collections.abc import Iterator

import pytest

from engine import Engine
from engine.errors import InvalidRequest, ToolsUnsupported
from engine.records import Message, SamplingParams, TextDelta, ToolCall, ToolCalls
from tests.engine.answers import LLAMA, Answer, read
from tests.engine.inference_thread import loaded_model, on_thread
from tests.models import TOOLS_TEMPLATE, write_script

CALLER, BABBLER = "tools/caller", "tools/babbler"
CALLS = ('{"name": "find", "arguments": {"word": "apples"}}', '{"name": "stop", "arguments": {}}')
TOOLS = tuple(
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("find", "stop")
)
HELLO = [Message("user", "hello")]
GREEDY = SamplingParams(temperature=0, max_tokens=40)


@pytest.fixture(scope="module", autouse=True)
def models(engine: Engine) -> Iterator[None]:
    folder = engine.settings.models_dir
    marked = ["<tool_call>", CALLS[0], "</tool_call>", "<tool_call>\n", CALLS[1], "\n</tool_call>"]
    write_script(folder / CALLER, ["Let me see. ", *marked], TOOLS_TEMPLATE)
    write_script(folder / BABBLER, ["<tool_call>", '{"name', '": 7}', "</tool_call>"],
                 TOOLS_TEMPLATE)  # fmt: skip
    yield
    shutil.rmtree(folder / "tools")


def ask(engine: Engine, model: str, tools: tuple[object, ...] = TOOLS, **params: int) -> Answer:
    chosen = SamplingParams(temperature=0, **{"max_tokens": 40, **params})
    return read(engine.chat(HELLO, chosen, model, tools=tools))  # type: ignore[arg-type]


def calls_of(answer: Answer) -> list[ToolCall]:
    return [call for e in answer.events if isinstance(e, ToolCalls) for call in e.calls]


def test_calls_come_whole_beside_the_text(engine: Engine) -> None:
    answer = ask(engine, CALLER)
    assert (answer.text, answer.reason) == ("Let me see. ", "stop")
    find, stop = calls_of(answer)
    assert (find.name, json.loads(find.arguments)) == ("find", {"word": "apples"})
    assert (stop.name, stop.arguments) == ("stop", "{}")
    assert find.call_id and find.call_id != stop.call_id


def test_without_tools_what_looks_like_a_call_is_text(engine: Engine) -> None:
    answer = ask(engine, CALLER, tools=())
    assert CALLS[0] in answer.text and calls_of(answer) == []


def test_what_is_no_call_stays_as_text(engine: Engine) -> None:
    answer = ask(engine, BABBLER)
    assert (answer.text, calls_of(answer)) == ('{"name": 7}', [])


def test_half_a_call_is_text(engine: Engine) -> None:
    answer = ask(engine, BABBLER, max_tokens=2)
    assert (answer.text, answer.reason, calls_of(answer)) == ('{"name', "length", [])


def test_a_model_that_calls_no_tools_says_so(engine: Engine) -> None:
    with pytest.raises(ToolsUnsupported, match="calls no tools"):
        ask(engine, LLAMA)


def test_the_template_sees_tools_calls_and_results(engine: Engine) -> None:
    model = loaded_model(engine, CALLER)
    said = [
        *HELLO,
        Message("assistant", "", tool_calls=(ToolCall("c1", "find", '{"word": "x"}'),)),
        Message("tool", "<|end|>nothing", tool_call_id="c1"),
    ]

    def render() -> str:
        return str(model.tokenizer.decode(model.render_prompt(said, TOOLS)))

    assert on_thread(engine, render) == (
        "<|system|>find<|end|><|system|>stop<|end|><|user|>hello<|end|>"
        '<|assistant|><tool_call>find{"word": "x"}</tool_call><|end|>'
        "<|tool|><|end|>nothing<|end|><|assistant|>"
    )


@pytest.mark.parametrize(
    "message",
    [
        Message("tool", "result"),
        Message("user", "hello", tool_call_id="c1"),
        Message("assistant", "", tool_calls=(ToolCall("c1", "find", "{}"),)),
    ],
)
def test_calls_and_results_belong_together(engine: Engine, message: Message) -> None:
    with pytest.raises(InvalidRequest):
        engine.chat([*HELLO, message], GREEDY, CALLER, tools=TOOLS)


def test_a_result_may_be_empty_and_is_answered(engine: Engine) -> None:
    call = Message("assistant", "", tool_calls=(ToolCall("c1", "find", "{}"),))
    said = [*HELLO, call, Message("tool", "", tool_call_id="c1")]
    answer = read(engine.chat(said, GREEDY, CALLER, tools=TOOLS))
    assert any(isinstance(event, TextDelta) for event in answer.events)
