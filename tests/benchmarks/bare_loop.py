"""The reference: mlx-lm's BatchGenerator and nothing around it, with the same BLAS below it.

Runs on the engine's inference thread, with the engine's own loaded model, or as a child process
that answers a line of JSON with a line of JSON. Imports mlx: import it on the thread that owns it.
"""

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.inference.blas import open_fast_blas

if __name__ == "__main__":
    open_fast_blas(Path(tempfile.gettempdir()))

from mlx_lm.generate import BatchGenerator, make_stop_sequences  # noqa: E402
from mlx_lm.utils import load_model, load_tokenizer  # noqa: E402  (BLAS comes before mlx)


@dataclasses.dataclass(frozen=True)
class BareRun:
    """What one run took, from putting the prompts in to the last token of all."""

    output_tokens: int
    wall_s: float
    decode_per_s: float


def render(tokenizer: Any, text: str) -> list[int]:
    """Tokens of one user message under the chat template."""
    messages = [{"role": "user", "content": text}]
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)
    return [int(token) for token in rendered]


def generate(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], max_tokens: int
) -> BareRun:
    """Answer all prompts at once, greedily; ``decode_per_s`` is of the first one."""
    generator = BatchGenerator(model, max_tokens=max_tokens)
    stop_sequences = [make_stop_sequences(tokenizer)] * len(prompts)
    started_at = time.perf_counter()
    uids = generator.insert([list(p) for p in prompts], stop_sequences=stop_sequences)
    output_tokens = 0
    times_at: list[float] = []
    running = set(uids)
    while running:
        _, responses = generator.next()
        now = time.perf_counter()
        output_tokens += len(responses)
        for response in responses:
            if response.uid == uids[0]:
                times_at.append(now)
            if response.finish_reason is not None:
                running.remove(response.uid)
    generator.close()
    decode_s = times_at[-1] - times_at[0]
    return BareRun(output_tokens, now - started_at, (len(times_at) - 1) / decode_s)


def _answer_lines(folder: Path) -> None:
    """Child's entry: {"texts", "max_tokens"} in, a BareRun out, a line each."""
    model, config = load_model(folder)
    tokenizer = load_tokenizer(folder, eos_token_ids=config.get("eos_token_id"))
    for line in sys.stdin:
        request = json.loads(line)
        prompts = [render(tokenizer, text) for text in request["texts"]]
        run = generate(model, tokenizer, prompts, request["max_tokens"])
        print(json.dumps(dataclasses.asdict(run)), flush=True)


if __name__ == "__main__":
    _answer_lines(Path(sys.argv[1]))
