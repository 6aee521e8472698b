"""The group ``speed``: a model of 85M parameters on a CPU beside mlx-lm as it is shipped.

Where a figure is about what mlx-lm cannot do, the reference is our own run without that: idle,
alone, or read anew. All on the same machine in the same minutes.
"""

import importlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from engine import ChatTicket
from engine.records import Finished, Message, TextDelta
from tests.benchmarks.engine_bench import EngineBench, running_engine
from tests.benchmarks.figures import Figure, Pairs, Target, alternate
from tests.benchmarks.idle import idle_processor_s
from tests.benchmarks.memory import ask_given_back_bytes
from tests.benchmarks.models import BenchModel, make_speed_model, random_text
from tests.benchmarks.server_bench import running_servers
from tests.benchmarks.shipped import shipped_speeds

PROMPT_TOKENS = 512
SHIPPED_TOKENS = (64, 16)  # of its prompt, and of its answer
ANSWER_TOKENS = 64
TOGETHER = 8
LONG_TOKENS = 2_000
IDLE_S = 60.0
PAIRS = 5
DRAWS = 15
FEW_PAIRS = 3
GAP_S = 0.001
LONG_ANSWER_TOKENS = 2_000
_SEEDS = itertools.count(5_000_000)


def speed_figures() -> Iterator[Figure]:
    """All figures of the group, each as soon as it is there."""
    with TemporaryDirectory(prefix="pomona-benchmarks-") as name:
        folder = Path(name)
        model = make_speed_model(folder)
        with running_engine(folder / "engine", [model]) as (bench,):
            yield from shipped_figures(bench)
            yield together_figure(bench)
            yield newcomer_figure(bench)
            yield gap_figure(bench)
            yield reopened_figure(bench)
            yield drawing_figure(bench)
        yield server_figure(folder, model)
        yield memory_figure(model)
        yield idle_figure(folder / "idle", model)


def shipped_figures(bench: EngineBench) -> Iterator[Figure]:
    """Reading and writing, beside one run of ``mlx_lm.generate`` as pip installs it.

    That run is shorter: it takes as long for each token of a prompt as for one of an answer, so
    its speed does not depend on their number, and 512 would take it several minutes.
    """
    ours = [_read_and_write(bench) for _ in range(PAIRS)]
    shipped = shipped_speeds(bench.model.path, *SHIPPED_TOKENS)
    names = (f"prefill of {PROMPT_TOKENS}", f"decode of {ANSWER_TOKENS}")
    for at, (what, limit) in enumerate(zip(names, (100, 10), strict=True)):
        pairs = tuple((speeds[at], shipped[at]) for speeds in ours)
        yield Figure(f"{what} / mlx_lm.generate as shipped", "tokens/s", pairs, Target(limit))


def _read_and_write(bench: EngineBench) -> tuple[float, float]:
    said = [Message("user", _new_text(PROMPT_TOKENS))]
    stats = bench.answer(said, ANSWER_TOKENS).stats
    return stats.prefill_per_s, stats.decode_per_s


def together_figure(bench: EngineBench) -> Figure:
    """Tokens per second of eight answers at once, beside those of one."""
    pairs = alternate(
        lambda: bench.speeds(TOGETHER, ANSWER_TOKENS).total_per_s,
        lambda: bench.speeds(1, ANSWER_TOKENS).total_per_s,
        PAIRS,
    )
    return Figure(f"{TOGETHER} streams at once / one", "tokens/s", pairs, Target(3.5))


def newcomer_figure(bench: EngineBench) -> Figure:
    """How long somebody new waits for a first token while seven others are answered."""

    def first_token_s() -> float:
        return bench.answer([Message("user", bench.new_text())], 4).stats.time_to_first_token_s

    def among_others_s() -> float:
        others = _stream(bench, TOGETHER - 1)
        waited_s = first_token_s()
        _end(others)
        return waited_s

    pairs = alternate(among_others_s, first_token_s, PAIRS)
    return Figure(
        f"first token while {TOGETHER - 1} others stream / idle", "s", pairs,
        Target(3, is_upper=True), best=min,
    )  # fmt: skip


def gap_figure(bench: EngineBench) -> Figure:
    """The longest pause in others' answers while a long prompt is read, beside their usual one."""
    pairs = tuple(_gaps_s(bench) for _ in range(FEW_PAIRS))
    return Figure(
        f"longest gap while {LONG_TOKENS:,} tokens are read / usual gap", "s", pairs,
        Target(10, is_upper=True), best=min,
    )  # fmt: skip


def _gaps_s(bench: EngineBench) -> tuple[float, float]:
    others = _stream(bench, TOGETHER - 1)
    usual_s = median(_pauses_s(others, lambda: False, 40))
    long = bench.ask([Message("user", _new_text(LONG_TOKENS))], 1)
    longest_s = max(_pauses_s(others, lambda: _has_ended(long), 10_000))
    _end(others)
    return longest_s, usual_s


def _pauses_s(
    tickets: Sequence[ChatTicket], is_over: Callable[[], bool], count: int
) -> list[float]:
    """Times between two tokens of the first answer; the others are read too."""
    pauses: list[float] = []
    last_at: float | None = None
    while len(pauses) < count and not is_over():
        for ticket in tickets[1:]:
            ticket.drain(0)
        if any(isinstance(event, TextDelta) for event in tickets[0].drain(GAP_S)):
            now = time.perf_counter()
            if last_at is not None:
                pauses.append(now - last_at)
            last_at = now
    return pauses


def _has_ended(ticket: ChatTicket) -> bool:
    return any(isinstance(event, Finished) for event in ticket.drain(0))


def reopened_figure(bench: EngineBench) -> Figure:
    """The first token of a long chat after the model was unloaded: with its file, and without."""
    pairs = tuple(_reopened_s(bench) for _ in range(FEW_PAIRS))
    return Figure(
        f"first token of a chat of {LONG_TOKENS:,}, from disk / read anew", "s", pairs,
        Target(5), best=min, is_speedup=True,
    )  # fmt: skip


def _reopened_s(bench: EngineBench) -> tuple[float, float]:
    text = _new_text(LONG_TOKENS)
    chat_id = text[:40]
    answer = bench.answer([Message("user", text)], 4, chat_id)
    bench.wait_until_kept()
    following = [
        Message("user", text), Message("assistant", answer.text), Message("user", "go on"),
    ]  # fmt: skip
    bench.forget()
    from_disk_s = bench.answer(following, 4, chat_id).stats.time_to_first_token_s
    bench.forget()
    anew_s = bench.answer(following, 4).stats.time_to_first_token_s
    return from_disk_s, anew_s


def drawing_figure(bench: EngineBench) -> Figure:
    """A token drawn with top-p and top-k from a vocabulary of 150,000, beside mlx-lm's sampler."""
    pairs: Pairs = bench.on_thread(
        lambda: importlib.import_module("tests.benchmarks.drawing").drawing_s(DRAWS)
    )
    in_ms = tuple((ours * 1000, theirs * 1000) for ours, theirs in pairs)
    return Figure(
        "a token drawn with top-p and top-k / by mlx-lm", "ms", in_ms, Target(1, is_upper=True),
        best=min,
    )  # fmt: skip


def server_figure(folder: Path, model: BenchModel) -> Figure:
    """Eight answers at once through /chat, and by mlx_lm.server with OpenBLAS and float32."""
    with running_servers(folder, model) as bench:
        pairs = alternate(
            lambda: bench.ask_app(TOGETHER, ANSWER_TOKENS),
            lambda: bench.ask_server(TOGETHER, ANSWER_TOKENS),
            PAIRS,
        )
    return Figure(
        f"{TOGETHER} streams through /chat / mlx_lm.server", "tokens/s", pairs, Target(1.0)
    )


def memory_figure(model: BenchModel) -> Figure:
    """What an unload gives back of what the load took."""
    pairs: Pairs = tuple(ask_given_back_bytes(model.path) for _ in range(FEW_PAIRS))
    in_mb = tuple((back / 1e6, taken / 1e6) for back, taken in pairs)
    return Figure("memory back after unload / taken by the load", "MB", in_mb, Target(0.95))


def idle_figure(folder: Path, model: BenchModel) -> Figure:
    """Processor time of the app with a model loaded and nobody there, beside one core's."""
    pairs = ((idle_processor_s(folder, model, IDLE_S), IDLE_S),)
    return Figure("idle for a minute / one core", "s", pairs, Target(0.01, is_upper=True), best=min)


def _stream(bench: EngineBench, count: int) -> list[ChatTicket]:
    """Answers that are being written, their prompts read."""
    tickets = [
        bench.ask([Message("user", bench.new_text())], LONG_ANSWER_TOKENS) for _ in range(count)
    ]
    for ticket in tickets:
        while not any(isinstance(event, TextDelta) for event in ticket.drain(1.0)):
            pass
    return tickets


def _end(tickets: Sequence[ChatTicket]) -> None:
    for ticket in tickets:
        ticket.cancel()
    for ticket in tickets:
        list(ticket.events())


def _new_text(tokens: int) -> str:
    """A text of about so many tokens."""
    return random_text(next(_SEEDS), tokens)
