"""Many visitors who chat at once, some of whom leave in the middle.

``python -m tests.visitors [seconds] [visitors]`` does it for five minutes and prints what came of
it; a short form is in ``tests/ui/test_load.py``. Each visitor is a browser as far as the server can
tell: a cookie, a heartbeat that stays open, questions through the queue. They leave by hanging up.
"""

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tests.ui.strangers import GUIDE, Stranger, shared_app, stranger

QUESTIONS = (
    "What does quantisation mean?", "Which model should I download?", "What can I do here?",
    "How do I delete a model?", "What is a token?", "Tell me about memory.",
)  # fmt: skip
PAUSE_S = (4.0, 12.0)
MOST_GROWTH = 1.1


@dataclass(frozen=True)
class Footprint:
    """What a process takes; threads and files are 0 where the system does not tell."""

    resident_bytes: int
    threads: int = 0
    files: int = 0

    @classmethod
    def of(cls, pid: int) -> "Footprint":
        """Of a process of ours, now."""
        folder = Path(f"/proc/{pid}")
        if folder.is_dir():
            pages = int((folder / "statm").read_text().split()[1])
            tasks, files = os.listdir(folder / "task"), os.listdir(folder / "fd")
            return cls(pages * os.sysconf("SC_PAGE_SIZE"), len(tasks), len(files))
        asked = ["ps", "-o", "rss=", "-p", str(pid)]
        shown = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        return cls(int(shown) * 1024)


@dataclass
class Report:
    """What came of it."""

    answers: int = 0
    left: int = 0
    errors: list[str] = field(default_factory=list)
    samples: list[Footprint] = field(default_factory=list)
    after: Footprint | None = None

    @property
    def growth(self) -> float:
        """Memory after all have gone over that of half time, when every cache had been filled."""
        assert self.after is not None
        return self.after.resident_bytes / self.samples[len(self.samples) // 2].resident_bytes


async def chat_for(
    url: str, pid: int, visitors: int, seconds: float, pause_s: tuple[float, float] = PAUSE_S
) -> Report:
    """Keep so many visitors chatting for so long; whoever leaves is followed by a new one.

    Whoever has come stays until all is asked that he came to ask.
    """
    report, until_s = Report(), time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(visitors):
            group.create_task(_keep_coming(url, until_s, number, report, pause_s))
        while time.monotonic() < until_s:
            report.samples.append(Footprint.of(pid))
            await asyncio.sleep(seconds / 20)
    await asyncio.sleep(min(5.0, seconds / 4))
    report.after = Footprint.of(pid)
    return report


async def _keep_coming(
    url: str, until_s: float, number: int, report: Report, pause_s: tuple[float, float]
) -> None:
    """One place that is never empty; every third one leaves in the middle of an answer."""
    chance = random.Random(number)
    await asyncio.sleep(chance.uniform(0, min(pause_s[1], (until_s - time.monotonic()) / 4)))
    while time.monotonic() < until_s:
        leaves_early = chance.random() < 1 / 3
        try:
            async with stranger(url) as visitor, _heartbeat(visitor):
                for _ in range(chance.randint(1, 4)):
                    await _ask(visitor, chance, report)
                    await asyncio.sleep(chance.uniform(*pause_s))
                if leaves_early:
                    await visitor.join("ask", chance.choice(QUESTIONS), None, GUIDE)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(visitor.messages(), chance.uniform(0, 0.3))
                    report.left += 1
        except httpx.HTTPError as error:
            report.errors.append(f"{type(error).__name__}: {error}")


async def _ask(visitor: Stranger, chance: random.Random, report: Report) -> None:
    answer = await visitor.join("ask", chance.choice(QUESTIONS), None, GUIDE)
    if answer.status_code != 200:
        report.errors.append(f"{answer.status_code}: {answer.text[:200]}")
        return
    heard = await visitor.messages()
    warnings = [str(one.get("log")) for one in heard if one["msg"] == "log"]
    if warnings or not _is_whole(heard):
        report.errors.append("; ".join(warnings) or json.dumps(heard[-3:])[:300])
    else:
        report.answers += 1


def _is_whole(heard: list[dict[str, Any]]) -> bool:
    done = [one for one in heard if one["msg"] == "process_completed"]
    return bool(done) and all(one["success"] for one in done)


@contextlib.asynccontextmanager
async def _heartbeat(visitor: Stranger) -> Any:
    """The connection that a page keeps open as long as it is shown."""

    async def beat() -> None:
        url = f"/gradio_api/heartbeat/{visitor.session}"
        with contextlib.suppress(httpx.HTTPError):
            async with visitor.client.stream("GET", url) as answer:
                async for _ in answer.aiter_lines():
                    pass

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def main(seconds: float = 300.0, visitors: int = 50) -> int:
    """Chat, and print the report; exit status 1 when something went wrong."""
    with TemporaryDirectory() as folder, shared_app(Path(folder)) as app:
        before = Footprint.of(app.process.pid)
        report = asyncio.run(chat_for(app.url, app.process.pid, visitors, seconds))
        print("before", asdict(before))
        for sample in report.samples:
            print(asdict(sample))
        assert report.after is not None
        print("after", asdict(report.after))
        print(f"{report.answers} answers, {report.left} left early, {len(report.errors)} errors")
        print("\n".join(report.errors[:20]))
        log = (Path(folder) / "data" / "logs" / "pomona.log").read_text()
        print(f"log: {len(log)} characters, {log.count('Traceback')} tracebacks")
        print((Path(folder) / "stderr.txt").read_text()[-3000:])
        print(f"memory after / at half time: {report.growth:.2f}, to be at most {MOST_GROWTH}")
    return 1 if report.errors or report.growth > MOST_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main(*(float(a) for a in sys.argv[1:2]), *(int(a) for a in sys.argv[2:3])))
