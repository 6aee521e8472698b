"""A question to the Hub, asked on another thread: what it waits for is told, and it can be left."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from engine.patience import Cancel, OnWait

FIRST_S = 0.3
POLL_S = 0.1
ASKING = "Asking the Hugging Face Hub…"
Found = TypeVar("Found")


class Question(Generic[Found]):
    """``ask`` is called with what it takes to cancel it and to tell of waits.

    It is cancelled when ``is_overtaken`` says so, and when nobody waits for it any more.
    """

    def __init__(
        self, ask: Callable[[Cancel, OnWait], Found], is_overtaken: Callable[[], bool]
    ) -> None:
        self._ask = ask
        self._is_overtaken = is_overtaken
        self._is_left = False
        self._sentence = ASKING
        self.answer: asyncio.Future[Found]

    async def sentences(self) -> AsyncIterator[str]:
        """What to tell until the answer is there: nothing at first, then each new sentence."""
        self.answer = asyncio.ensure_future(asyncio.to_thread(self._ask, self._cancel, self._tell))
        told, patience_s = "", FIRST_S
        try:
            while not (await asyncio.wait([self.answer], timeout=patience_s))[0]:
                if self._sentence != told:
                    told = self._sentence
                    yield told
                patience_s = POLL_S
        finally:
            self._is_left = not self.answer.done()
            if self._is_left:  # nobody will read what comes of it
                self.answer.add_done_callback(
                    lambda answer: answer.cancelled() or answer.exception()
                )

    def _cancel(self) -> bool:
        return self._is_left or self._is_overtaken()

    def _tell(self, wait_s: float, sentence: str) -> None:
        self._sentence = sentence
