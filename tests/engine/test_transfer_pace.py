"""Progress, speed, and how many connections there are, on a clock that the test moves."""

from dataclasses import replace

import pytest

from engine.library.transfers import TransferLimits
from engine.library.transfers.governor import Governor
from engine.library.transfers.progress import Meter

MB = 1_000_000


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    meter = Meter(100 * MB, 10.0, clock)
    meter.start()
    return meter


def fetch(meter: Meter, clock: Clock, count: int, seconds: float, per_step: int) -> None:
    for _ in range(count):
        clock.now_s += seconds
        meter.hear()
        meter.add(per_step, is_fetched=True)


def test_speed_is_that_of_the_last_seconds(meter: Meter, clock: Clock) -> None:
    fetch(meter, clock, 200, 0.1, 100_000)
    assert meter.progress().bytes_per_s == pytest.approx(1 * MB, rel=0.1)
    assert meter.progress().eta_s == pytest.approx(80.0, rel=0.1)
    fetch(meter, clock, 100, 0.1, 300_000)
    assert meter.progress().bytes_per_s == pytest.approx(3 * MB, rel=0.1)


def test_what_was_here_before_is_done_and_no_speed(meter: Meter, clock: Clock) -> None:
    meter.add(60 * MB)
    clock.now_s += 1.0
    progress = meter.progress()
    assert (progress.done_bytes, progress.bytes_per_s, progress.eta_s) == (60 * MB, 0.0, None)


def test_ten_updates_a_second_are_the_most(meter: Meter, clock: Clock) -> None:
    seen = set()
    for _ in range(1000):
        fetch(meter, clock, 1, 0.001, 1000)
        seen.add(meter.progress().done_bytes)
    assert 9 <= len(seen) <= 11


def test_nothing_for_ten_seconds_is_stalled_and_then_not(meter: Meter, clock: Clock) -> None:
    fetch(meter, clock, 10, 0.1, MB)
    clock.now_s += 9.0
    assert meter.progress().notice == ""
    clock.now_s += 1.1
    progress = meter.progress()
    assert "Stalled" in progress.notice
    assert (progress.bytes_per_s, progress.eta_s) == (0.0, None)
    fetch(meter, clock, 2, 0.1, MB)
    assert meter.progress().notice == ""


def test_a_wait_is_counted_down(meter: Meter, clock: Clock) -> None:
    meter.note("", 12.0)
    assert "12 s" in meter.progress().notice
    clock.now_s += 4.0
    assert "8 s" in meter.progress().notice
    clock.now_s += 8.0
    assert "wait" not in meter.progress().notice


def test_when_all_is_here_it_is_verifying_until_it_ends(meter: Meter, clock: Clock) -> None:
    fetch(meter, clock, 100, 0.1, MB)
    assert meter.progress().is_verifying
    clock.now_s += 60.0
    assert meter.progress().notice == ""
    meter.finish()
    progress = meter.progress()
    assert (progress.is_verifying, progress.bytes_per_s, progress.done_bytes) == (
        False, 0.0, 100 * MB,
    )  # fmt: skip


LIMITS = TransferLimits(connections=8)


def allowed_after(clock: Clock, limits: TransferLimits, speeds: dict[int, float]) -> list[int]:
    """Connections allowed over 30 rounds, on a line that gives that many bytes/s to so many."""
    governor, busy, history = Governor(limits, clock), 0, []
    governor.wrote(1)
    for _ in range(30):
        while governor.enter():
            busy += 1
        while busy > governor.allowed:
            governor.leave()
            busy -= 1
        clock.now_s += limits.ramp_s + 0.01
        governor.wrote(int(speeds[busy] * (limits.ramp_s + 0.01)))
        history.append(busy)
    return history


def test_slow_connections_are_doubled_up_to_all(clock: Clock) -> None:
    history = allowed_after(clock, LIMITS, {n: n * 5.0 * MB for n in range(9)})
    assert history[0] == 1 and history[-1] == 8


def test_a_slow_line_gets_all_connections_without_proof(clock: Clock) -> None:
    assert allowed_after(clock, LIMITS, dict.fromkeys(range(9), 3.0 * MB))[-1] == 8


def test_a_fast_connection_stays_alone(clock: Clock) -> None:
    assert set(allowed_after(clock, LIMITS, dict.fromkeys(range(9), 900.0 * MB))) == {1}


def test_a_doubling_that_brought_nothing_is_taken_back(clock: Clock) -> None:
    limits = replace(LIMITS, rest_s=3600.0)
    history = allowed_after(clock, limits, dict.fromkeys(range(9), 150.0 * MB))
    assert max(history) == 2 and history[-1] == 1


def test_connections_that_each_have_their_own_limit_all_help(clock: Clock) -> None:
    history = allowed_after(clock, LIMITS, {n: n * 60.0 * MB for n in range(9)})
    assert history[-1] == 8


def test_pauses_double_and_end(clock: Clock) -> None:
    limits = TransferLimits(jitter=lambda: 0.0)
    assert [limits.backoff_s(n) for n in (1, 2, 3, 4, 5, 6, 20)] == [0.5, 1, 2, 4, 8, 10, 10]
