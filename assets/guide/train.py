"""Trains the Pomona Guide from scratch on the processor and writes it as an MLX model."""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from corpus import Corpus, load_corpus
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
HELP = 3.0  # weight of the helper head's loss
NAMED = 4  # positions from which it names the answer: answers that begin alike part later
SMOOTH = 0.1  # label smoothing there, against overconfidence in wordings seen often
LOOSE = 0.25  # share of questions whose words are cut at random
LOST = 0.03  # share of question tokens left out, so that no single word decides alone
PHASES = (0.45, 0.65)  # where the second and the third phase begin
SHARES = ((1, 0, 0, 0), (30, 62, 8, 0), (36, 44, 18, 2))  # of 1, few, some and many turns
SHORTENED = (0.9, 0.7, 0.6)  # share of single questions with a shortened answer
SHORT = 5  # tokens of a shortened answer; the helper head learns from it all the same

Row = tuple[list[int], list[bool], list[tuple[int, int]]]
Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def every_answer(corpus: Corpus) -> list[str]:
    """Return every answer once."""
    answers = [fact.answer for fact in corpus.facts.values()]
    for fact in corpus.facts.values():
        answers += [text for text in fact.follow.values() if not text.startswith("@")]
    answers += [kind.answer for kind in corpus.follow.values()]
    return list(dict.fromkeys([*answers, *corpus.outside.answers.values()]))


def make_tokenizer(corpus: Corpus, vocab: int) -> Tokenizer:
    """Train a byte-level tokenizer on the answers and on drawn questions."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    speaker = Speaker(corpus, SEED)
    texts = [" " + speaker.ask_first().question for _ in range(30000)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[AddedToken(name, special=True, normalized=False) for name in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts + every_answer(corpus) * 20, trainer)
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
        self.labels = {text: i for i, text in enumerate(every_answer(speaker.corpus))}
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
        """Draw a conversation: tokens, True for each to be learned, and each turn's answer."""
        tokens: list[int] = []
        marks: list[tuple[int, int]] = []
        learn: list[bool] = []
        system = self.speaker.system()
        if system:
            tokens += [SYSTEM, *self.tokenizer.encode(" " + system).ids, END]
        learn += [False] * len(tokens)
        turns = self.turns()
        for turn in self.speaker.conversation(turns):
            asked = [USER, *self.question(turn.question), END, ASSISTANT]
            answer = [*self.answer(turn.answer), END]
            if turns == 1 and self.rng.random() < SHORTENED[self.phase]:
                answer = answer[:SHORT]
            tokens += asked
            places = range(len(tokens) - 1, len(tokens) - 1 + min(NAMED, len(answer)))
            marks += [(at, self.labels[turn.answer]) for at in places if at < LONGEST]
            tokens += answer
            learn += [False] * len(asked) + [True] * len(answer)
        return tokens[:LONGEST], learn[:LONGEST], marks


def padded(length: int, step: int = 8) -> int:
    """Round a length up, so that few different sizes occur (each new one costs time)."""
    return -(-length // step) * step


def stack(rows: list[Row]) -> Batch:
    """Put rows into one tensor; also return the positions before learned tokens, and those."""
    longest = padded(max(len(row[0]) for row in rows))
    tokens = torch.full((len(rows), longest), PAD)
    learn = torch.zeros((len(rows), longest), dtype=torch.bool)
    for i, (ids, marks, _) in enumerate(rows):
        tokens[i, : len(ids)] = torch.tensor(ids)
        learn[i, : len(marks)] = torch.tensor(marks)
    ends = [(i * longest + at, label) for i, row in enumerate(rows) for at, label in row[2]]
    turns, labels = torch.tensor(ends).T
    more = padded(len(ends), 32) - len(ends)
    turns, labels = F.pad(turns, (0, more)), F.pad(labels, (0, more), value=IGNORE)
    where = learn.flatten().nonzero()[:, 0] - 1
    wanted = tokens.flatten()[where + 1]
    spare = padded(len(where), 128) - len(where)
    where, wanted = F.pad(where, (0, spare)), F.pad(wanted, (0, spare), value=IGNORE)
    return tokens, where, wanted, turns, labels


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
    """Return the percentage of held-out questions with exactly the right answer."""
    right = 0
    model.eval()
    for start in range(0, len(cases), 64):
        rows = []
        for question, answer in cases[start : start + 64]:
            asked = [USER, *encoder.tokenizer.encode(" " + question).ids, END, ASSISTANT]
            said = [*encoder.answer(answer), END]
            learn = [False] * len(asked) + [True] * len(said)
            rows.append((asked + said, learn, [(len(asked) - 1, 0)]))
        tokens, where, wanted, turns, _ = stack(rows)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            best = model(tokens, where, turns)[0].argmax(-1)
        wrong = where[(best != wanted) & (wanted != IGNORE)] // tokens.shape[1]
        right += len(rows) - len(wrong.unique())
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


def fit(model: Llama, encoder: Encoder, steps: int, peak: float, out: Path) -> None:
    """Train the network and write it out now and then."""
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    norms = [weight for weight in model.parameters() if weight.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": norms, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98), fused=True)
    start, mean, seen = time.time(), 0.0, 0
    inside, outside = held_cases(encoder.speaker.corpus)
    model.train()
    for step, (tokens, where, wanted, turns, labels) in enumerate(batches(encoder, steps)):
        for group in adam.param_groups:
            group["lr"] = rate(step, steps, peak)
        with torch.autocast("cpu", torch.bfloat16):
            scores, choices = model(tokens, where, turns)
        loss = F.cross_entropy(scores.float(), wanted, ignore_index=IGNORE)
        choice = F.cross_entropy(
            choices.float(), labels, ignore_index=IGNORE, label_smoothing=SMOOTH
        )
        (loss + HELP * choice).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        mean = choice.item() if step == 0 else 0.98 * mean + 0.02 * choice.item()
        seen += tokens.numel()
        if step % 100 == 0:
            print(f"{step} loss {mean:.4f} {seen / (time.time() - start):.0f} tok/s", flush=True)
        if step % 500 == 499 or step == steps - 1:
            shares = [held_share(model, encoder, cases) for cases in (inside, outside)]
            print(f"{step} held-out right {shares[0]:.1f} %, outside {shares[1]:.1f} %", flush=True)
            write_model(model, encoder.tokenizer, out)


def main() -> None:
    """Train and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "model")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    shape = Shape()
    corpus = load_corpus()
    model = Llama(shape, len(every_answer(corpus)))
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
