"""Trains the Pomona Guide from scratch on the processor and writes it as an MLX model."""

from __future__ import annotations

import argparse
import math
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from corpus import SAME, Corpus, load_corpus
from dialogue import Speaker
from export import SPECIALS, write_model
from network import Llama, Shape
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

SEED = 20
PAD, END, SYSTEM, USER, ASSISTANT = range(len(SPECIALS))
LONGEST = 900
ROW_TOKENS = 2048
POOL = 64
IGNORE = -100
CHOICE = 3.0  # weight of the loss on openers, which say which answer comes
SMOOTH = 0.1  # label smoothing there, against overconfidence in wordings seen often
LOOSE = 0.25  # share of questions whose words are cut at random
LOST = 0.03  # share of question tokens left out, so that no single word decides alone
PHASES = (0.3, 0.75)  # where the second and the third phase begin
SHARES = ((86, 14, 0, 0), (80, 17, 3, 0), (78, 15, 6, 1))  # of 1, few, some and many turns
SHORTENED = 0.85  # share of single questions with a shortened answer
SHORT = 2  # tokens of a shortened answer

Row = tuple[list[int], list[bool]]
Batch = tuple[Tensor, Tensor, Tensor]


def every_answer(corpus: Corpus) -> list[str]:
    """Return every answer once."""
    answers = [fact.answer for fact in corpus.facts.values()]
    for fact in corpus.facts.values():
        answers += [text for text in fact.follow.values() if not text.startswith("@")]
    answers += [kind.answer for kind in corpus.follow.values() if kind.answer != SAME]
    return list(dict.fromkeys([*answers, *corpus.outside.answers.values()]))


def opener(text: str, others: list[str]) -> str:
    """Return the first words, two at least, that occur in no other answer."""
    rest = [other for other in others if other != text]
    starts = [text[: space.start()] for space in re.finditer(r" |$", text)][1:] or [text]
    for start in starts:
        if not any(start in other for other in rest):
            return start
    return next((start for start in starts if not any(o.startswith(start) for o in rest)), text)


def openers(corpus: Corpus) -> list[str]:
    """Return the words that tell each answer from all others; each is made one token.

    So the choice of the answer is one step, and what follows is said by heart.
    """
    answers = every_answer(corpus)
    return [opener(text, answers) for text in answers]


def make_tokenizer(corpus: Corpus, vocab: int) -> Tokenizer:
    """Train a byte-level tokenizer on the answers and on drawn questions; openers come last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    speaker = Speaker(corpus, SEED)
    whole = openers(corpus)
    texts = [" " + speaker.ask_first().question for _ in range(30000)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - len(whole),
        special_tokens=[AddedToken(name, special=True, normalized=False) for name in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts + every_answer(corpus) * 20, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in whole])
    return tokenizer


class Encoder:
    """Turns drawn conversations into token rows with the answers marked."""

    def __init__(self, tokenizer: Tokenizer, speaker: Speaker) -> None:
        """Keep the tokenizer, and a second one that cuts words at random."""
        self.tokenizer = tokenizer
        self.loose = Tokenizer.from_str(tokenizer.to_str())
        self.loose.model.dropout = 0.1
        self.speaker = speaker
        self.rng = random.Random(speaker.rng.random())
        self.known: dict[str, list[int]] = {}
        self.phase = 0

    def answer(self, text: str) -> list[int]:
        """Encode an answer."""
        if text not in self.known:
            self.known[text] = self.tokenizer.encode(text).ids
        return self.known[text]

    def question(self, text: str) -> list[int]:
        """Encode a question, sometimes cut in unusual places, with a few tokens left out."""
        loose = self.rng.random() < LOOSE
        tokens = (self.loose if loose else self.tokenizer).encode(" " + text).ids
        return [token for token in tokens if self.rng.random() > LOST] or tokens

    def turns(self) -> int:
        """Draw how many turns a conversation has."""
        few, some, many = self.rng.randint(2, 3), self.rng.randint(4, 8), self.rng.randint(9, 22)
        return self.rng.choices((1, few, some, many), SHARES[self.phase])[0]

    def row(self) -> Row:
        """Draw a conversation: tokens, and True for each to be learned."""
        tokens: list[int] = []
        learn: list[bool] = []
        system = self.speaker.system()
        if system:
            tokens += [SYSTEM, *self.tokenizer.encode(" " + system).ids, END]
        learn += [False] * len(tokens)
        turns = self.turns()
        for turn in self.speaker.conversation(turns):
            asked = [USER, *self.question(turn.question), END, ASSISTANT]
            answer = [*self.answer(turn.answer), END]
            if turns == 1 and self.rng.random() < SHORTENED:
                answer = answer[:SHORT]
            tokens += asked + answer
            learn += [False] * len(asked) + [True] * len(answer)
        return tokens[:LONGEST], learn[:LONGEST]


def padded(length: int, step: int = 8) -> int:
    """Round a length up, so that few different sizes occur (each new one costs time)."""
    return -(-length // step) * step


def stack(rows: list[Row]) -> Batch:
    """Put rows into one tensor; also return the positions before learned tokens, and those."""
    longest = padded(max(len(row[0]) for row in rows))
    tokens = torch.full((len(rows), longest), PAD)
    learn = torch.zeros((len(rows), longest), dtype=torch.bool)
    for i, (ids, marks) in enumerate(rows):
        tokens[i, : len(ids)] = torch.tensor(ids)
        learn[i, : len(marks)] = torch.tensor(marks)
    where = learn.flatten().nonzero()[:, 0] - 1
    wanted = tokens.flatten()[where + 1]
    spare = padded(len(where), 128) - len(where)
    where, wanted = F.pad(where, (0, spare)), F.pad(wanted, (0, spare), value=IGNORE)
    return tokens, where, wanted


def batches(encoder: Encoder, steps: int) -> Iterator[Batch]:
    """Yield batches of rows of like length; first only single questions, at last long talks."""
    given = 0
    while given < steps:
        encoder.phase = sum(given >= share * steps for share in PHASES)
        rows: list[Row] = []
        total = 0
        while total < POOL * ROW_TOKENS:
            rows.append(encoder.row())
            total += len(rows[-1][0])
        rows.sort(key=lambda row: len(row[0]))
        groups, group = [], []
        for row in rows:
            if group and (len(group) + 1) * padded(len(row[0])) > ROW_TOKENS:
                groups.append(group)
                group = []
            group.append(row)
        groups.append(group)
        encoder.rng.shuffle(groups)
        for group in groups[: steps - given]:
            given += 1
            yield stack(group)


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
    if step < 150:
        return peak * (step + 1) / 150
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - 150) / (steps - 150))))


def losses(scores: Tensor, wanted: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """Return the loss on openers (tokens from ``first`` on), smoothed, and on the other tokens."""
    known = wanted != IGNORE
    opens = wanted >= first
    logs = scores.float().log_softmax(-1)
    right = logs.gather(1, wanted.clamp(min=0)[:, None])[:, 0]
    choice = (1 - SMOOTH) * right[opens] + SMOOTH * logs[opens, first:].mean(-1)
    rest = right[known & ~opens]
    return -choice.sum() / opens.sum().clamp(min=1), -rest.sum() / max(1, rest.numel())


def fit(model: Llama, encoder: Encoder, steps: int, peak: float, out: Path) -> None:
    """Train the network and write it out now and then."""
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    norms = [weight for weight in model.parameters() if weight.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": norms, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98), fused=True)
    start, means, seen = time.time(), [0.0, 0.0], 0
    inside, outside = held_cases(encoder.speaker.corpus)
    first = model.shape.vocab - len(openers(encoder.speaker.corpus))
    model.train()
    for step, (tokens, where, wanted) in enumerate(batches(encoder, steps)):
        for group in adam.param_groups:
            group["lr"] = rate(step, steps, peak)
        with torch.autocast("cpu", torch.bfloat16):
            scores = model(tokens, where)
        choice, rest = losses(scores, wanted, first)
        (rest + CHOICE * choice).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        for i, part in enumerate((choice, rest)):
            means[i] = part.item() if step == 0 else 0.98 * means[i] + 0.02 * part.item()
        seen += tokens.numel()
        if step % 100 == 0:
            speed = seen / (time.time() - start)
            print(f"{step} loss {means[0]:.4f} {means[1]:.4f} {speed:.0f} tok/s", flush=True)
        if step % 500 == 499 or step == steps - 1:
            shares = [held_share(model, encoder, cases) for cases in (inside, outside)]
            print(f"{step} held-out right {shares[0]:.1f} %, outside {shares[1]:.1f} %", flush=True)
            write_model(model, encoder.tokenizer, out)


def main() -> None:
    """Train and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=13000)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "model")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    shape = Shape()
    corpus = load_corpus()
    model = Llama(shape)
    if f"{model.size() / 1e6:.1f} million" not in corpus.facts["talk.size"].answer:
        raise SystemExit(f"data/facts_talk.txt must say {model.size() / 1e6:.1f} million")
    tokenizer = make_tokenizer(corpus, shape.vocab)
    print(f"{model.size():,} parameters, {tokenizer.get_vocab_size()} tokens", flush=True)
    start = time.time()
    encoder = Encoder(tokenizer, Speaker(corpus, SEED + 1))
    fit(model, encoder, options.steps, options.rate, options.out)
    print(f"trained in {(time.time() - start) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
