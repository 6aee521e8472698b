"""Runs through ``engine``, and the bare loop on the engine's own thread with its own model.

Reads answers in bundles, a drain every 50 ms. Reaches into the service for its thread and
the loaded model: the fairest reference uses the very same arrays, in the same process.
"""

import importlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import ChatTicket, Engine, Settings
from engine.records import Finished, GenerationStats, Message, SamplingParams, TextDelta
from tests.benchmarks.models import BenchModel, random_text
from tests.engine.inference_thread import on_thread

READ_EVERY_S = 0.05
LOAD_TIMEOUT_S = 120.0
KEEP_TIMEOUT_S = 60.0
WORK_TIMEOUT_S = 900.0
PROMPT_WORDS = 16


@dataclass(frozen=True)
class Answer:
    """A whole answer. ``wall_s`` is from asking to its last token."""

    text: str
    stats: GenerationStats

    @property
    def wall_s(self) -> float:
        """The engine's own times added up, so that it does not depend on when it was read."""
        decode_s = (self.stats.output_tokens - 1) / self.stats.decode_per_s
        return self.stats.time_to_first_token_s + decode_s


@dataclass(frozen=True)
class Speeds:
    """Tokens per second of one run: one answer after its first token, and all answers in all.

    ``per_processor_s`` counts seconds of processor time, of all threads. Other programs' load
    hardly shows in it, and neither does waiting.
    """

    decode_per_s: float
    total_per_s: float
    per_processor_s: float


class EngineBench:
    """An engine with one model loaded, and the bare loop beside it."""

    def __init__(self, engine: Engine, model: BenchModel) -> None:
        self._engine, self._inference = engine, engine.inference
        self.model = model
        self._seeds = itertools.count()

    def load(self) -> None:
        """Load the model."""
        self._inference.load(self.model.repo_id).result(LOAD_TIMEOUT_S)

    def new_text(self) -> str:
        """A message that no prompt cache knows."""
        return random_text(next(self._seeds), PROMPT_WORDS)

    def ask(self, messages: Sequence[Message], max_tokens: int, chat_id: str = "") -> ChatTicket:
        """Put a conversation to the engine, greedily."""
        params = SamplingParams(temperature=0.0, max_tokens=max_tokens)
        return self._inference.chat(messages, params, self.model.repo_id, chat_id)

    def answer(self, messages: Sequence[Message], max_tokens: int, chat_id: str = "") -> Answer:
        """One conversation, alone."""
        (answer,) = read_all([self.ask(messages, max_tokens, chat_id)])
        return answer

    def wait_until_kept(self) -> None:
        """Until all that belongs to chats is on disk."""
        deadline = time.monotonic() + KEEP_TIMEOUT_S
        files = self._inference.kept_prompts
        while self._inference._thread.keeping.nap_s() is not None or files.is_busy:
            assert time.monotonic() < deadline
            time.sleep(READ_EVERY_S)

    def forget(self) -> None:
        """Load the model anew: nothing that it has read is in memory."""
        self._inference.unload(self.model.repo_id)
        self.load()

    def speeds(self, conversations: int, max_tokens: int) -> Speeds:
        """All conversations through the engine, their reader included.

        The inference thread waits until all are there, so that they are asked at once, as the bare
        loop gets them.
        """
        asked = [[Message("user", self.new_text())] for _ in range(conversations)]
        gate = threading.Event()
        self._inference._thread.post(lambda: _pass(gate))
        processor_s, started_at = time.process_time(), time.perf_counter()
        tickets, offsets_s = [], []
        for messages in asked:
            offsets_s.append(time.perf_counter() - started_at)
            tickets.append(self.ask(messages, max_tokens))
        gate.set()
        answers = read_all(tickets)
        processor_s = time.process_time() - processor_s
        wall_s = max(o + answer.wall_s for o, answer in zip(offsets_s, answers, strict=True))
        output_tokens = sum(answer.stats.output_tokens for answer in answers)
        return Speeds(
            answers[0].stats.decode_per_s, output_tokens / wall_s, output_tokens / processor_s
        )

    def bare_speeds(self, conversations: int, max_tokens: int) -> Speeds:
        """As speeds, by the bare loop."""
        processor_s = time.process_time()
        run = self._bare_run(conversations, max_tokens)
        processor_s = time.process_time() - processor_s
        return Speeds(
            run.decode_per_s, run.output_tokens / run.wall_s, run.output_tokens / processor_s
        )

    def _bare_run(self, conversations: int, max_tokens: int) -> Any:
        texts = [self.new_text() for _ in range(conversations)]
        return self.on_thread(lambda: self._run_bare_loop(texts, max_tokens))

    def _run_bare_loop(self, texts: Sequence[str], max_tokens: int) -> Any:
        bare_loop = importlib.import_module("tests.benchmarks.bare_loop")
        loaded = self._inference._thread._residents[self.model.repo_id].lane.model
        prompts = [loaded.render_prompt([Message("user", text)]) for text in texts]
        return bare_loop.generate(loaded.model, loaded.tokenizer, prompts, max_tokens)

    def on_thread(self, work: Callable[[], Any]) -> Any:
        """Run ``work`` on the inference thread, and wait for what it returns or raises."""
        return on_thread(self._engine, work, WORK_TIMEOUT_S)


def _pass(gate: threading.Event) -> None:
    gate.wait(READ_EVERY_S)


def read_all(tickets: Sequence[ChatTicket]) -> list[Answer]:
    """Read answers to their ends, in bundles. Raises the first one's error."""
    texts = dict.fromkeys(tickets, "")
    answers: dict[ChatTicket, Answer] = {}
    while len(answers) < len(tickets):
        for ticket in tickets:
            if ticket in answers:
                continue
            for event in ticket.drain(timeout_s=0):
                if isinstance(event, TextDelta):
                    texts[ticket] += event.text
                elif isinstance(event, Finished):
                    answers[ticket] = Answer(texts[ticket], event.stats)
        time.sleep(READ_EVERY_S)
    return [answers[ticket] for ticket in tickets]


@contextmanager
def running_engine(folder: Path, models: Sequence[BenchModel]) -> Iterator[list[EngineBench]]:
    """One engine with all ``models`` loaded, its data in ``folder``."""
    settings = Settings.from_environment(
        {"HOME": str(folder)},
        models_dir=folder / "models",
        data_dir=folder / "data",
        extra_models=tuple(model.path for model in models),
    )
    engine = Engine.open(settings)
    try:
        engine.inference.start()
        benches = [EngineBench(engine, model) for model in models]
        for bench in benches:
            bench.load()
        yield benches
    finally:
        engine.close()
