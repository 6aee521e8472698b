"""Ask the running engine, and read a whole answer with a deadline."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from engine import ChatTicket, Engine
from engine.records import (
    ChatEvent,
    Finished,
    FinishReason,
    GenerationStats,
    Message,
    ReasoningDelta,
    SamplingParams,
    TextDelta,
)

DEADLINE_S = 60.0
LLAMA = "tiny/llama"


@dataclass(frozen=True)
class Answer:
    """A finished answer."""

    text: str
    reasoning: str
    reason: FinishReason
    stats: GenerationStats
    events: tuple[ChatEvent, ...]


def start(
    engine: Engine, said: str | list[Message], model: str = LLAMA, **params: object
) -> ChatTicket:
    """Ask; greedy and 24 tokens unless told."""
    messages = [Message("user", said)] if isinstance(said, str) else said
    chosen = {"temperature": 0.0, "max_tokens": 24, **params}
    return engine.inference.chat(messages, SamplingParams(**chosen), model)  # type: ignore[arg-type]


def read(ticket: ChatTicket, on_event: Callable[[ChatEvent], object] = lambda _: None) -> Answer:
    """Read a ticket to its end; raises the request's error."""
    events: list[ChatEvent] = []
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for event in ticket.drain(0.5):
            events.append(event)
            on_event(event)
            if isinstance(event, Finished):
                return Answer(
                    "".join(e.text for e in events if isinstance(e, TextDelta)),
                    "".join(e.text for e in events if isinstance(e, ReasoningDelta)),
                    event.reason,
                    event.stats,
                    tuple(events),
                )
    raise AssertionError(f"no end after {DEADLINE_S} s; so far {events[-3:]}")


def ask(engine: Engine, said: str | list[Message], model: str = LLAMA, **params: object) -> Answer:
    """The whole answer."""
    return read(start(engine, said, model, **params))
