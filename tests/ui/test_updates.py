"""No update leaves out what the one before it set: a page that is slow would never show it.

Gradio's page makes each value out of the one before, in place. Of several that come at once it
shows the last one as often as there are.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from engine import Engine
from tests.engine.answers import LLAMA
from ui.chat_handlers import ChatHandlers
from ui.chat_list import ChatListHandlers
from ui.compare_handlers import CompareHandlers
from ui.conversation import Conversation
from ui.model_picker import ModelHandlers

OTHER = "tiny/other"
# From the settings panel: prompt, temperature, top-p, top-k, min-p, penalty, tokens, seed, and how
# an answer ends.
SETTINGS = ("", 0.0, 1.0, 0, 0.0, 1.0, 24, None, "stop", "")


def collect(updates: AsyncIterator[Any]) -> list[tuple[Any, ...]]:
    async def gather() -> list[tuple[Any, ...]]:
        return [update async for update in updates]

    return asyncio.run(gather())


def sent(value: Any) -> Any:
    """A value as Gradio sends it."""
    if not hasattr(value, "constructor_args"):
        return value
    return {"__type__": "update", **value.constructor_args}


def forgotten(updates: list[tuple[Any, ...]]) -> list[set[str]]:
    """What updates set, and those behind them leave out."""
    return [
        left_out
        for before, after in zip(updates, updates[1:], strict=False)
        for one, other in zip(map(sent, before), map(sent, after), strict=True)
        if isinstance(one, dict) and isinstance(other, dict)
        if (left_out := set(one) - set(other))
    ]


def test_a_question_empties_the_box_shows_stop_and_then_send(engine: Engine) -> None:
    handlers = ChatHandlers(engine)
    send = ChatListHandlers(engine, handlers).beside(handlers.send)
    updates = collect(send("Hello", Conversation(LLAMA), LLAMA, *SETTINGS))
    assert forgotten(updates) == []
    boxes = [sent(update[1]) for update in updates]
    assert boxes[0] == "" and boxes[1]["stop_btn"] and boxes[-1]["submit_btn"]
    assert "chats" in updates[-1][2]


def test_an_opened_chat_and_a_comparison_forget_nothing(engine: Engine) -> None:
    chatting = ChatHandlers(engine)
    listing, comparing = ChatListHandlers(engine, chatting), CompareHandlers(engine, chatting)
    conversation = Conversation(LLAMA, is_comparing=True)
    ask = listing.beside(comparing.ask)
    updates = collect(ask("Hello", conversation, [LLAMA, OTHER], False, *SETTINGS))
    assert len(updates) > 3 and forgotten(updates) == []


def test_a_chosen_model_forgets_nothing_on_its_way(engine: Engine) -> None:
    engine.inference.unload(LLAMA)
    updates = collect(ModelHandlers(engine, LLAMA).choose_model(LLAMA, Conversation()))
    assert "ready" in updates[-1][0] and forgotten(updates) == []
