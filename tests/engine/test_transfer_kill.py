"""A transfer that is killed goes on where it was, and its journal never claimed too much."""

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.transfer_child import transfer_child
from tests.engine.transferring import LIMITS, TOKEN, Rig, random_bytes
from tests.loopback_hub import LoopbackHub

KILLS = 20
MB = 1_000_000
BLOCK_BYTES = 4096
KILL_LIMITS = replace(
    LIMITS, part_bytes=2 * MB, buffer_bytes=32_768, flush_bytes=128_000, unsynced_bytes=512_000,
)  # fmt: skip
# Written and not yet recorded when it died, at most.
AT_RISK_BYTES = KILL_LIMITS.unsynced_bytes + KILL_LIMITS.connections * KILL_LIMITS.buffer_bytes
FILES = {
    **{f"{number}.json": random_bytes(3000, seed=number) for number in range(8)},
    "model-1.safetensors": random_bytes(14 * MB, seed=20),
    "model-2.safetensors": random_bytes(10 * MB, seed=21),
}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with LoopbackHub(tokens=(TOKEN,)) as hub:
        yield Rig(hub, tmp_path / "job", FILES)


def right_bytes(rig: Rig) -> int:
    """How much of the model is on disk; what is there is right, or a hole."""
    count = 0
    for path, body in rig.on_disk().items():
        truth = rig.files[path]
        assert len(body) in (0, len(truth))  # 0: it died between making and growing the file
        for start in range(0, len(body), BLOCK_BYTES):
            found, right = body[start : start + BLOCK_BYTES], truth[start : start + BLOCK_BYTES]
            if found == right:
                count += len(right)
            elif found.count(0) != len(found):
                assert all(a in (0, b) for a, b in zip(found, right, strict=True))
    return count


def test_after_20_kills_it_is_whole_and_little_was_fetched_twice(rig: Rig) -> None:
    draw = random.Random(11)
    rig.hub.fault("/", times=None, drip_s=0.002, drip_bytes=8192)
    killed, recorded_bytes = 0, 0
    with transfer_child() as child:
        order = (rig.folder, rig.hub.url, rig.commit, rig.repo_files, KILL_LIMITS)
        while killed < KILLS or recorded_bytes <= MB:
            assert killed < 10 * KILLS
            process_id = child.start(*order)
            time.sleep(draw.uniform(0.0, 0.2) * (1 + killed // KILLS))  # longer where all is slow
            os.kill(process_id, signal.SIGKILL)
            if child.wait() == 0:  # it was faster than the kill: begin once more
                for path in rig.folder.rglob("*.safetensors"):
                    path.unlink()
                continue
            killed += 1
            recorded_bytes = rig.assert_journal_is_true()
            assert right_bytes(rig) - recorded_bytes <= AT_RISK_BYTES
        rig.hub.clear()
        child.start(*order)
        assert child.wait() == 0
    rig.assert_whole()
