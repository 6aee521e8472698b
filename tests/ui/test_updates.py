"""What a handler shows last is said once more with the list beside it: a slow page may lose it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from engine import Engine
from ui.chat_handlers import ChatHandlers
from ui.chat_list import ChatListHandlers
from ui.conversation import Conversation


def test_nothing_that_was_shown_last_is_left_out_of_the_value_with_the_list(
    engine: Engine,
) -> None:
    listing = ChatListHandlers(engine, ChatHandlers(engine))

    async def handler(conversation: Conversation) -> AsyncIterator[tuple[Any, ...]]:
        yield ["a word"], {"stop_btn": True}
        yield ["two words"], {"stop_btn": False, "value": "typed"}

    async def collect() -> list[tuple[Any, ...]]:
        return [update async for update in listing.beside(handler)(Conversation())]

    *_, before, last = asyncio.run(collect())
    assert last[:2] == before[:2] == (["two words"], {"stop_btn": False, "value": "typed"})
    assert "chats" in last[2]
