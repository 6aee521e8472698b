"""Trains the Pomona Guide from scratch on the processor and writes it as an MLX model."""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from corpus import Corpus, load_corpus
from crew import Crew, run_crew
from dialogue import Speaker
from export import write_model
from network import Llama, Shape
from rows import IGNORE, SHARES, Encoder, batches, row_length, stack
from torch import Tensor
from wording import ASSISTANT, END, SEED, USER, make_tokenizer, openers

CHOICE = 3.0  # weight of the loss on openers, which say which answer comes
SMOOTH = 0.1  # label smoothing there, against overconfidence in wordings seen often
RISE = 60  # steps in which the rate rises to its peak
PACE = 0.15  # rate of the matrices that the warm-up taught, against the others
HEAD_PACE = 0.5  # the same for the matrix that scores the next token
WARM_POOL = 8  # such steps for which questions are drawn together, to have like lengths
WARM_ROWS = 512  # questions in each step before the training proper
WARM_ALONE = 0.85  # part of the warm-up in which openers compete with each other only
KEEP = 0.5  # weight of the same lesson in the training proper, so that it is not unlearned
KEEP_ROWS = 48  # questions for it in each step
MARK = 200  # steps between two marks of the weights in the log
SHOW = 500  # steps between two looks at the held-out questions


def held_share(model: Llama, encoder: Encoder, cases: list[tuple[str, str]]) -> float:
    """Return the percentage of held-out questions for which the right answer is begun."""
    right = 0
    model.eval()
    for start in range(0, len(cases), 64):
        rows = []
        for question, answer in cases[start : start + 64]:
            asked = [USER, *encoder.tokenizer.encode(" " + question).ids, END, ASSISTANT]
            rows.append(([*asked, encoder.answer(answer)[0]], [False] * len(asked) + [True]))
        tokens, where, wanted = stack(rows)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            best = model(tokens, where).argmax(-1)
        right += int((best == wanted).sum())
    model.train()
    return 100 * right / len(cases)


def held_cases(corpus: Corpus) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return held-out questions about the app and from outside, with their answers."""
    inside = [(text, fact.answer) for fact in corpus.facts.values() for text in fact.held]
    outside = [(text, corpus.outside.answers[kind]) for text, kind in corpus.outside.held]
    return inside, outside


def rate(step: int, steps: int, peak: float) -> float:
    """Return the learning rate: a short rise, then half a cosine."""
    if step < RISE:
        return peak * (step + 1) / RISE
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - RISE) / (steps - RISE))))


def losses(scores: Tensor, wanted: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """Return the loss on openers (tokens from ``first`` on), smoothed, and on the other tokens."""
    known = wanted != IGNORE
    opens = wanted >= first
    logs = scores.float().log_softmax(-1)
    right = logs.gather(1, wanted.clamp(min=0)[:, None])[:, 0]
    choice = (1 - SMOOTH) * right[opens] + SMOOTH * logs[opens, first:].mean(-1)
    rest = right[known & ~opens]
    return -choice.sum() / opens.sum().clamp(min=1), -rest.sum() / max(1, rest.numel())


def mark(model: Llama) -> str:
    """Return a short mark of all weights, by which two runs can be compared."""
    digest = hashlib.sha256()
    for weight in model.parameters():
        digest.update(weight.detach().numpy().tobytes())
    return digest.hexdigest()[:12]


def warm_up(model: Llama, encoder: Encoder, crew: Crew, steps: int, peak: float) -> None:
    """Teach the network to choose answers by the words of single questions, whatever their order.

    A step takes a fiftieth of a step of the whole network, which then begins from here. At last
    the openers compete with all other tokens, as they will in the whole network.
    """
    adam = torch.optim.Adam(model.parameters(), lr=peak, fused=True)
    first = model.shape.vocab - len(openers(encoder.speaker.corpus))
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = peak * min(1, (step + 1) / 20) * (1 - step / steps)
        if step % WARM_POOL == 0:
            rows = sorted((encoder.single() for _ in range(WARM_POOL * WARM_ROWS)), key=row_length)
            order = encoder.rng.sample(range(WARM_POOL), WARM_POOL)
        at = order[step % WARM_POOL] * WARM_ROWS
        tokens, where, wanted = stack(rows[at : at + WARM_ROWS])
        if step < WARM_ALONE * steps:
            scores = model.bag(tokens, where, first)
            loss = F.cross_entropy(scores, wanted - first, label_smoothing=SMOOTH)
        else:
            loss, _ = losses(model.bag(tokens, where, 0), wanted, first)
        loss.backward()
        adam.step()
        adam.zero_grad()
        crew.meet(model, step, step == steps - 1)
        if step % MARK == MARK - 1 and crew.rank == 0:
            print(f"warm-up {step} loss {loss.item():.3f} weights {mark(model)}", flush=True)
    model.begin_as_bag()


def optimizer(model: Llama) -> torch.optim.Optimizer:
    """Make the optimiser; norms do not decay, and what the warm-up taught moves slowly."""
    paces = {id(weight): PACE for weight in model.bag_parts()}
    paces[id(model.lm_head.weight)] = HEAD_PACE
    groups = [
        {
            "params": [weight],
            "weight_decay": 0.05 if weight.dim() == 2 and id(weight) not in paces else 0.0,
            "pace": paces.get(id(weight), 1.0),
        }
        for weight in model.parameters()
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def show_shares(model: Llama, encoder: Encoder, step: int) -> None:
    """Print how many held-out questions are answered rightly."""
    inside, outside = (held_share(model, encoder, c) for c in held_cases(encoder.speaker.corpus))
    print(f"{step} held-out right {inside:.1f} %, outside {outside:.1f} %", flush=True)


def fit(model: Llama, encoder: Encoder, crew: Crew, steps: int, peak: float, out: Path) -> None:
    """Train the network and write it out now and then."""
    adam = optimizer(model)
    start, means, seen = time.time(), [0.0, 0.0], 0
    first = model.shape.vocab - len(openers(encoder.speaker.corpus))
    model.train()
    for step, (tokens, where, wanted) in enumerate(batches(encoder, steps)):
        for group in adam.param_groups:
            group["lr"] = group["pace"] * rate(step, steps, peak)
        if encoder.phase == len(SHARES) - 1:
            model.no_dropout()  # at last every word of an answer must be sure
        with torch.autocast("cpu", torch.bfloat16):
            scores = model(tokens, where)
        choice, rest = losses(scores, wanted, first)
        kept_tokens, kept_where, kept_wanted = stack([encoder.single() for _ in range(KEEP_ROWS)])
        kept, _ = losses(model.bag(kept_tokens, kept_where, 0), kept_wanted, first)
        (rest + CHOICE * choice + KEEP * kept).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        crew.meet(model, step, step == steps - 1)
        if crew.rank > 0:
            continue
        for i, part in enumerate((choice, rest)):
            means[i] = part.item() if step == 0 else 0.98 * means[i] + 0.02 * part.item()
        seen += tokens.numel()
        if step % 100 == 0:
            speed = seen / (time.time() - start)
            print(f"{step} loss {means[0]:.4f} {means[1]:.4f} {speed:.0f} tok/s", flush=True)
        if step % MARK == MARK - 1 or step == steps - 1:
            print(f"{step} weights {mark(model)}", flush=True)
        if step % SHOW == SHOW - 1 or step == steps - 1:
            show_shares(model, encoder, step)
            write_model(model, encoder.tokenizer, out)


def main() -> None:
    """Train and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6500)
    parser.add_argument("--warm", type=int, default=2400)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "model")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    shape = Shape()
    corpus = load_corpus()
    model = Llama(shape)
    if f"{model.size() / 1e6:.1f} million" not in corpus.facts["talk.who"].answer:
        raise SystemExit(f"data/facts_talk.txt must say {model.size() / 1e6:.1f} million")
    tokenizer = make_tokenizer(corpus, shape.vocab)
    print(f"{model.size():,} parameters, {tokenizer.get_vocab_size()} tokens", flush=True)
    start = time.time()

    def work(crew: Crew) -> None:
        seed = SEED + crew.rank
        torch.manual_seed(seed)
        encoder = Encoder(tokenizer, Speaker(corpus, seed + 1))
        warm_up(model, encoder, crew, options.warm, 4e-3)
        if crew.rank == 0:
            show_shares(model, encoder, -1)
        fit(model, encoder, crew, options.steps, options.rate, options.out)

    run_crew(model, work)
    print(f"trained in {(time.time() - start) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
