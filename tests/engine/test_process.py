"""What only a process of its own can show: imports, limits, memory budgets, and a clean end."""

import json
import subprocess
import sys
from pathlib import Path

from tests.house import ROOT

PREPARE = """
import json, resource, sys
from pathlib import Path
from engine import Engine
from engine.errors import *
from engine.inference import InferenceService
from tests.conftest import settings_in
from tests.engine.answers import ask, read, start
from tests.models import write_model
settings = settings_in(Path(sys.argv[1]))
report = {}
"""
TIMEOUT_S = 90


def _run(script: str, folder: Path) -> dict[str, object]:
    """What the script put into ``report``; it has to end by itself with 0."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARE + script + "\nprint(json.dumps(report))", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def test_importing_the_engine_imports_nothing_heavy(tmp_path: Path) -> None:
    script = """
import subprocess
code = "import sys, engine; print(*sys.modules)"
done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
report["modules"] = done.stdout.split()
"""
    modules = set(_run(script, tmp_path)["modules"])  # type: ignore[call-overload]
    assert "engine.library" in modules
    assert not modules & {"mlx", "mlx_lm", "transformers", "gradio"}


def test_the_process_ends_by_itself_and_keeps_its_limits(tmp_path: Path) -> None:
    script = """
before = resource.getrlimit(resource.RLIMIT_NOFILE)
engine = Engine.open(settings)
engine.inference.start()
report["text"] = ask(engine, "hello", "pomona/guide").text
after = resource.getrlimit(resource.RLIMIT_NOFILE)
report["soft"] = [min(before[0], after[1]), after[0]]
engine.close()
report["is_alive"] = engine.inference._thread.is_alive()
report["loaded"] = len(engine.inference.loaded())
"""
    report = _run(script, tmp_path)
    assert report["text"]
    expected, soft = report["soft"]  # type: ignore[misc]
    assert soft == expected
    assert (report["is_alive"], report["loaded"]) == (False, 0)


def test_closing_ends_every_answer_and_every_load(tmp_path: Path) -> None:
    script = """
for n in range(3):
    write_model(settings.models_dir / "tiny" / str(n), context=100_000)
engine = Engine.open(settings)
engine.inference.start()
tickets = [start(engine, "hello", "tiny/0", max_tokens=90_000)]
engine.inference.load("tiny/0").result(60)
tickets += [start(engine, "hello", f"tiny/{n}", max_tokens=90_000) for n in (0, 0, 1, 2)]
engine.close()
report["ends"] = []
for ticket in tickets:
    try:
        report["ends"].append(read(ticket).reason)
    except EngineError as error:
        report["ends"].append(type(error).__name__)
"""
    assert _run(script, tmp_path)["ends"] == ["InUse"] * 5


def test_an_engine_never_started_closes_too(tmp_path: Path) -> None:
    assert _run("Engine.open(settings).close()", tmp_path) == {}


def test_what_is_asked_of_a_closed_engine_is_an_engine_error(tmp_path: Path) -> None:
    script = """
engine = Engine.open(settings)
engine.inference.start()
engine.inference.device_facts()
engine.close()
for name, call in {
    "chat": lambda: ask(engine, "hello", "pomona/guide"),
    "load": lambda: engine.inference.load("pomona/guide").result(30),
}.items():
    try:
        call()
        report[name] = "nothing"
    except EngineError as error:
        report[name] = type(error).__name__
    except BaseException as error:
        report[name] = repr(error)
engine.inference.unload("pomona/guide")
engine.close()
"""
    assert _run(script, tmp_path) == {"chat": "InUse", "load": "InUse"}


BUDGET = """
budget_bytes = BUDGET_BYTES
engine = Engine.open(settings)
engine.inference = InferenceService(
    settings.limits, engine.library.check, lambda facts: budget_bytes, settings.cache_dir
)
for n in (1, 2):
    write_model(settings.models_dir / "tiny" / str(n), hidden=64, layers=2)
engine.inference.start()
"""


def test_a_model_beyond_the_budget_is_refused_before_it_is_read(tmp_path: Path) -> None:
    script = (
        BUDGET.replace("BUDGET_BYTES", "1_000_000")
        + """
broken = settings.models_dir / "tiny" / "1" / "tokenizer.json"
broken.write_text("{")  # whoever reads the model meets this
try:
    engine.inference.load("tiny/1").result(60)
except InsufficientMemory as error:
    report.update(needed=error.needed_bytes, budget=error.budget_bytes, text=error.text)
try:
    ask(engine, "hello", "tiny/2")
except InsufficientMemory:
    report["chat"] = "refused too"
engine.close()
"""
    )
    report = _run(script, tmp_path)
    assert report["budget"] == 1_000_000
    assert int(str(report["needed"])) > 50_000_000  # its weights are small, working memory is not
    assert "GB" in str(report["text"])
    assert report["chat"] == "refused too"


def test_a_load_that_fails_unexpectedly_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    script = (
        BUDGET.replace("BUDGET_BYTES", "'no number'")
        + """
try:
    engine.inference.load("tiny/1").result(30)
except LoadFailed as error:
    report["cause"] = type(error.__cause__).__name__
budget_bytes = 10**9
report["text"] = ask(engine, "hello", "tiny/1").text
engine.close()
"""
    )
    report = _run(script, tmp_path)
    assert report["cause"] == "TypeError"
    assert report["text"]


def test_an_idle_model_makes_room_at_once_and_a_busy_one_when_it_has_answered(
    tmp_path: Path,
) -> None:
    script = (
        BUDGET.replace("BUDGET_BYTES", "10**9")
        + """
ask(engine, "hello", "tiny/1")
estimate = engine.library.check("tiny/2").estimate
alone = estimate.weights_bytes + estimate.working_bytes + 1024 * estimate.kv_bytes_per_token
budget_bytes = alone + estimate.weights_bytes // 2
ticket = start(engine, "hello", "tiny/1", max_tokens=900)
while not ticket.drain(0.5):
    pass
loading = engine.inference.load("tiny/2")
report["reason"] = read(ticket).reason
loading.result(60)
report["then"] = [m.repo_id for m in engine.inference.loaded()]
engine.inference.load("tiny/1").result(60)
report["idle"] = [m.repo_id for m in engine.inference.loaded()]
engine.close()
"""
    )
    report = _run(script, tmp_path)
    assert report == {"reason": "length", "then": ["tiny/2"], "idle": ["tiny/1"]}
