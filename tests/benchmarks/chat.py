"""The group ``chat``: what talking to a model costs beside mlx-lm and Gradio alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.benchmarks.app_bench import running_app_bench
from tests.benchmarks.conversation import TURNS, GrowingConversation
from tests.benchmarks.engine_bench import EngineBench, Speeds, running_engine
from tests.benchmarks.figures import Figure, Pairs, Target, alternate
from tests.benchmarks.memory import ask_memory_bytes
from tests.benchmarks.models import BenchModel, make_endless_guide, make_random_model
from tests.benchmarks.startup import StartupBench

TOGETHER = 8
LOADS = 20
STARTUP_PAIRS = 5
MEMORY_RUNS = 3


@dataclass(frozen=True)
class Effort:
    """How long a model's figures take: pairs of runs, and tokens per answer."""

    pairs: int
    tokens: int
    app_pairs: int
    app_tokens: int
    together_pairs: int
    together_tokens: int
    unread_pairs: int


GUIDE_EFFORT = Effort(
    pairs=25, tokens=64, app_pairs=7, app_tokens=512, together_pairs=7, together_tokens=48,
    unread_pairs=3,
)  # fmt: skip
RANDOM_EFFORT = Effort(
    pairs=9, tokens=24, app_pairs=5, app_tokens=96, together_pairs=3, together_tokens=12,
    unread_pairs=1,
)  # fmt: skip


def chat_figures() -> Iterator[Figure]:
    """All figures of the group, each as soon as it is there."""
    with TemporaryDirectory(prefix="pomona-benchmarks-") as name:
        folder = Path(name)
        guide, random = make_endless_guide(folder), make_random_model(folder)
        efforts = ((guide, GUIDE_EFFORT), (random, RANDOM_EFFORT))
        with running_engine(folder / "engine", [guide, random]) as benches:
            for bench, (_, effort) in zip(benches, efforts, strict=True):
                yield from decode_figures(bench, effort)
                yield from together_figures(bench, effort)
            for bench, (_, effort) in zip(benches, efforts, strict=True):
                yield from first_token_figures(bench, effort)
        for model, effort in efforts:
            yield from app_figures(folder / f"app-{model.repo_id}", model, effort)
        yield startup_figure(folder / "startup", STARTUP_PAIRS)
    yield memory_figure(MEMORY_RUNS)


def decode_figures(bench: EngineBench, effort: Effort) -> Iterator[Figure]:
    """Speed of one answer: the engine beside the bare loop, same thread and same loaded model."""
    runs = _speeds(bench, 1, effort.tokens, effort.pairs)
    label = bench.model.label
    yield Figure(
        f"decode, engine, {label}", "tokens/s",
        tuple((ours.decode_per_s, bare.decode_per_s) for ours, bare in runs), Target(0.97),
    )  # fmt: skip
    yield Figure(
        f"answer by processor time, engine, {label}", "tokens/s",
        tuple((ours.per_processor_s, bare.per_processor_s) for ours, bare in runs), Target(0.97),
    )  # fmt: skip


def together_figures(bench: EngineBench, effort: Effort) -> Iterator[Figure]:
    """How much more a batch gives than one conversation: the engine's gain beside mlx-lm's own."""
    alone = _speeds(bench, 1, effort.together_tokens, effort.together_pairs)
    together = _speeds(bench, TOGETHER, effort.together_tokens, effort.together_pairs)
    target = Target(1.0)
    name = f"{TOGETHER} at once / one alone"
    yield Figure(
        f"{name}, {bench.model.label}", "times",
        _gains(
            tuple((ours.total_per_s, bare.total_per_s) for ours, bare in alone),
            tuple((ours.total_per_s, bare.total_per_s) for ours, bare in together),
        ), target,
    )  # fmt: skip
    yield Figure(
        f"{name} by processor time, {bench.model.label}", "times",
        _gains(
            tuple((ours.per_processor_s, bare.per_processor_s) for ours, bare in alone),
            tuple((ours.per_processor_s, bare.per_processor_s) for ours, bare in together),
        ), target,
    )  # fmt: skip


def _speeds(
    bench: EngineBench, conversations: int, tokens: int, pairs: int
) -> tuple[tuple[Speeds, Speeds], ...]:
    return alternate(
        lambda: bench.speeds(conversations, tokens),
        lambda: bench.bare_speeds(conversations, tokens),
        pairs,
    )


def _gains(alone: Pairs, together: Pairs) -> Pairs:
    """Both speeds together, in units of the speed alone.

    Our speed alone is the bare loop's median times the median of the pairs' ratios: runs side by
    side had the same load, runs minutes apart did not.
    """
    bare_alone = median(bare for _, bare in alone)
    ours_alone = bare_alone * median(ours / bare for ours, bare in alone)
    return tuple((ours / ours_alone, bare / bare_alone) for ours, bare in together)


def first_token_figures(bench: EngineBench, effort: Effort) -> Iterator[Figure]:
    """Time to the first token late in a conversation, beside its beginning and without reuse."""
    conversation = GrowingConversation(bench)
    label = bench.model.label
    yield Figure(
        f"first token, turn {TURNS} / turn 1, {label}", "s",
        alternate(conversation.last_turn_s, conversation.first_turn_s, effort.pairs),
        Target(1.5, is_upper=True), best=min,
    )  # fmt: skip
    yield Figure(
        f"first token, turn {TURNS}, reuse / none, {label}", "s",
        alternate(conversation.last_turn_s, conversation.unread_s, effort.unread_pairs),
        Target(8), best=min, is_speedup=True,
    )  # fmt: skip


def app_figures(folder: Path, model: BenchModel, effort: Effort) -> Iterator[Figure]:
    """Tokens per second through the app's /chat beside the bare loop, each its own process."""
    with running_app_bench(folder, model) as bench:
        runs = alternate(
            lambda: bench.ask_app(effort.app_tokens),
            lambda: bench.ask_bare(effort.app_tokens),
            effort.app_pairs,
        )
    yield Figure(
        f"decode, app's stats, {model.label}", "tokens/s",
        tuple((app.decode_per_s, bare.decode_per_s) for app, bare in runs), Target(0.95),
    )  # fmt: skip
    yield Figure(
        f"answer of {effort.app_tokens}, client's clock, {model.label}", "tokens/s",
        tuple((app.wall_per_s, bare.wall_per_s) for app, bare in runs), Target(0.95),
    )  # fmt: skip


def startup_figure(folder: Path, pairs: int) -> Figure:
    """From process start to a page that answers, beside a Gradio app of one textbox."""
    folder.mkdir()
    bench = StartupBench(folder)
    runs = alternate(bench.app_s, bench.textbox_s, pairs)
    return Figure("start to page / one textbox", "s", runs, Target(1.25, is_upper=True), best=min)


def memory_figure(runs: int) -> Figure:
    """Memory after many loads and unloads of the Guide, beside the first."""
    pairs = [ask_memory_bytes(LOADS) for _ in range(runs)]
    return Figure(
        f"memory, {LOADS} loads of the Guide / the first", "MB",
        tuple((last / 1e6, first / 1e6) for last, first in pairs),
        Target(1.05, is_upper=True), best=min,
    )  # fmt: skip
