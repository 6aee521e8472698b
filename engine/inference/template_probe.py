"""Render a chat template once in a limited child process, before anybody waits for it.

Templates are sandboxed Jinja and cannot touch the machine, but one that loops for a minute would
hold up everybody's answers. The child gets a few seconds of processor time and 1 GB.
"""

import contextlib
import json
import math
import resource
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from engine.errors import TemplateFailed

_EXIT_BROKEN = 3
_EXIT_TOO_MUCH = 4
MAX_RENDERED_CHARS = 2_000_000
_MAX_MEMORY_BYTES = 1_000_000_000
_WAIT_FACTOR = 10  # wall clock to processor time, on a computer that is busy
_BROKEN = (
    jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError,
    AssertionError, NameError, RuntimeError,
)  # fmt: skip
_SAMPLE = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hello. How can I help?"},
    {"role": "user", "content": "Tell me more"},
]


def probe_template(template: str, timeout_s: float) -> None:
    """Check that a template comes to an end in ``timeout_s`` of processor time and bounded memory.

    Raises TemplateFailed when it does not. One that only reports an error is harmless here: the
    tokenizer meets the same error when somebody chats, and knows more than this sample does.
    """
    hint = "The model's files are at fault: choose another version of this model."
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", __name__, str(math.ceil(timeout_s))],
            input=template.encode("utf-8", "replace"),
            capture_output=True,
            timeout=_WAIT_FACTOR * timeout_s,
            cwd=Path(__file__).resolve().parents[2],
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TemplateFailed("The model's chat template does not come to an end.", hint) from error
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise TemplateFailed("The model's chat template does not come to an end.", hint)
    if done.returncode not in (0, _EXIT_BROKEN):
        raise TemplateFailed("The model's chat template takes far too much time or memory.", hint)


class _Generation(jinja2.ext.Extension):
    """Accept transformers' ``{% generation %}`` marks and render what is between them."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node | list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def render_sample(template: str) -> int:
    """Characters of the sample conversation under ``template``; raises jinja2.TemplateError."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    compiled = environment.from_string(template)
    size = 0
    for messages in (_SAMPLE[:1], _SAMPLE):
        for piece in compiled.generate(
            messages=messages,
            add_generation_prompt=True,
            bos_token="<s>",
            eos_token="</s>",
            unk_token="<unk>",
            pad_token="<pad>",
            tools=None,
            documents=None,
        ):
            size += len(piece)
            if size > MAX_RENDERED_CHARS:
                raise MemoryError
    return size


def main() -> int:
    """Child's entry: template on standard input; exit status says how it went."""
    cpu_s = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    with contextlib.suppress(ValueError, OSError):  # macOS refuses to limit a process's memory
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    try:
        render_sample(sys.stdin.buffer.read().decode("utf-8", "replace"))
    except (MemoryError, RecursionError, OverflowError):
        return _EXIT_TOO_MUCH
    except _BROKEN:
        return _EXIT_BROKEN
    return 0


if __name__ == "__main__":
    sys.exit(main())
