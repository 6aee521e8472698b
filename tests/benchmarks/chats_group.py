"""The group ``chats``: long conversations and many of them, in the store and in a real browser."""

import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page, expect, sync_playwright

from engine.chats import Chats, ChatTree, StoredMessage
from tests.app_process import running_app
from tests.benchmarks.figures import Figure, Target, alternate
from tests.benchmarks.models import BenchModel, make_broad_model, random_text
from tests.browser.chat_page import ChatPage
from tests.chromium import find_chromium, launch_arguments

MANY_CHATS = 10_000
MESSAGES_PER_CHAT = 6
LONG_MESSAGES = 1_000
BEFORE_ANSWER = 198  # the question is the 199th message, the answer the 200th
ANSWER_TOKENS = 4_000
STREAM_PAIRS = 3
OPENINGS = 7
SEARCHES = 5
QUERIES = ("xylophone", "message", "answer chat choose", "context mo", "ze", "q", "日本", "nowhere")
_ANSWER_S = 240.0


def chats_figures() -> Iterator[Figure]:
    """All figures of the group, each as soon as it is there."""
    with TemporaryDirectory(prefix="pomona-benchmarks-") as name:
        folder = Path(name)
        yield from search_figures(folder / "many.sqlite3", MANY_CHATS)
        model = make_broad_model(folder)
        _plant(folder / "data" / "chats.sqlite3", STREAM_PAIRS + 1)
        with _page_on(folder, model) as page:
            yield opening_figure(page)
            yield streaming_figure(page)


def search_figures(path: Path, chats: int) -> Iterator[Figure]:
    """The slowest and the middle one of several searches: rare, common, short, foreign, none."""
    store = Chats(path)
    store.plant_all([_talk(n, MESSAGES_PER_CHAT) for n in range(chats)])
    took = {query: [_search_ms(store, query) for _ in range(SEARCHES)] for query in QUERIES}
    store.close()
    by_speed = sorted(took.values(), key=lambda times: sorted(times)[SEARCHES // 2])
    for name, times in (("slowest", by_speed[-1]), ("middle", by_speed[len(by_speed) // 2])):
        yield Figure(
            f"search over {chats:,} chats, {name} of {len(QUERIES)} / 100 ms", "ms",
            tuple((ms, 100.0) for ms in times), Target(1.0, is_upper=True), best=min,
        )  # fmt: skip


def opening_figure(page: Page) -> Figure:
    """From a click in the list to the painted end of a chat of 1,000 messages."""
    pairs = []
    for _ in range(OPENINGS):
        page.locator("#new-chat").click()
        expect(page.get_by_test_id("user")).to_have_count(0)
        page.wait_for_timeout(500)
        pairs.append((float(page.evaluate(_OPEN_JS)), 1_000.0))
    return Figure(
        f"open a chat of {LONG_MESSAGES:,} messages / 1 s", "ms", tuple(pairs),
        Target(1.0, is_upper=True), best=min,
    )  # fmt: skip


def streaming_figure(page: Page) -> Figure:
    """Tokens per second that reach the page, as the 200th message and in an empty chat."""
    chat = ChatPage(page)
    page.locator("#settings-button").click()
    page.locator("#max-tokens input").fill(str(ANSWER_TOKENS))
    page.locator("#max-tokens input").press("Tab")
    page.locator("#settings-button").click()
    long_chats = iter(range(STREAM_PAIRS + 1))

    def late() -> float:
        page.locator("#chat-list .chat").filter(has_text=f"long {next(long_chats)}").click()
        expect(page.get_by_test_id("user").last).to_contain_text(f"number {BEFORE_ANSWER - 1} ")
        return _stream_per_s(chat)

    def first() -> float:
        page.locator("#new-chat").click()
        expect(page.get_by_test_id("user")).to_have_count(0)
        return _stream_per_s(chat)

    runs = alternate(late, first, STREAM_PAIRS)
    return Figure(
        f"an answer of {ANSWER_TOKENS:,} tokens on the page, 200th message / empty chat",
        "tokens/s", runs, Target(0.9),
    )  # fmt: skip


_WHEN_PAINTED_JS = """
  const painted = (is_there, begin) => new Promise((done) => {
    const start = performance.now();
    const look = () => {
      if (!is_there()) return requestAnimationFrame(look);
      requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
    };
    begin?.();
    look();
  });
"""
_OPEN_JS = f"""() => {{ {_WHEN_PAINTED_JS}
  const entry = [...document.querySelectorAll('#chat-list .chat')]
    .find((one) => one.textContent.includes('thousand'));
  const is_there = () => [...document.querySelectorAll('#log [data-testid]')].at(-1)
    ?.textContent.includes('number {LONG_MESSAGES} ');
  return painted(is_there, () => entry.click());
}}"""
_FIRST_WORD_JS = f"""() => {{ {_WHEN_PAINTED_JS}
  const last = () => [...document.querySelectorAll('#log [data-testid=bot]')].at(-1);
  return painted(() => document.querySelector('#message .stop-button') && last()
    && !last().querySelector('.waiting, .stats') && last().textContent.trim());
}}"""
_END_JS = f"""() => {{ {_WHEN_PAINTED_JS}
  return painted(() => document.querySelector('#message .submit-button'));
}}"""


def _stream_per_s(chat: ChatPage) -> float:
    """Tokens of an answer by the time from its first word on the page to its last."""
    chat.page.set_default_timeout(_ANSWER_S * 1000)
    chat.ask("Tell me everything")
    chat.page.evaluate(_FIRST_WORD_JS)
    seconds = float(chat.page.evaluate(_END_JS)) / 1000
    tokens = re.match(r"[\d,]+", chat.stats.last.inner_text())
    assert tokens is not None
    return int(tokens[0].replace(",", "")) / seconds


def _search_ms(store: Chats, query: str) -> float:
    started_at = time.perf_counter()
    store.list(query)
    return (time.perf_counter() - started_at) * 1000


def _talk(seed: int, messages: int, words: int = 60, title: str = "") -> ChatTree:
    """A conversation of plain words; one in a thousand holds a rare one."""
    draw = random.Random(seed)
    said = []
    for number in range(1, messages + 1):
        rare = " xylophone" if seed % 1_000 == 7 and number == 2 else ""
        text = f"number {number} {random_text(draw.randrange(10**9), words)}{rare}"
        role = "user" if number % 2 else "assistant"
        said.append(StoredMessage(number, role, text, parent_id=number - 1 or None))  # type: ignore[arg-type]
    return ChatTree(title or f"chat {seed} {random_text(seed, 4)}", tuple(said), messages)


def _plant(path: Path, long_chats: int) -> None:
    path.parent.mkdir(parents=True)
    store = Chats(path)
    store.plant(_talk(0, LONG_MESSAGES, title="thousand"))
    for number in range(long_chats):
        store.plant(_talk(number, BEFORE_ANSWER, words=4, title=f"long {number}"))
    store.close()


@contextmanager
def _page_on(folder: Path, model: BenchModel) -> Iterator[Page]:
    """A page of the app with a model loaded."""
    with running_app(folder, ["--model", str(model.path)]) as app, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=find_chromium(), args=launch_arguments())
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(app.url)
        page.wait_for_selector("#model-status .ready")
        yield page
        browser.close()
