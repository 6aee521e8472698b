"""Turns drawn questions and conversations into batches of tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from dialogue import Speaker
from tokenizers import Tokenizer
from torch import Tensor
from wording import ASSISTANT, END, PAD, SYSTEM, USER, every_answer

LONGEST = 900
ROW_TOKENS = 1024
POOL = 64
IGNORE = -100
CUT_WORDS = 0.1  # chance of a cut between two letters of such a question
LOOSE = 0.25  # share of questions whose words are cut at random
LOST = 0.03  # share of question tokens left out, so that no single word decides alone
PHASES = (0.13, 0.5, 0.88)  # where the second, third and fourth phase begin
KINDS = ("single", "recital", "told", "brief", "few", "some", "many")
SHARES = (  # of the kinds of rows in each phase
    (30, 55, 0, 15, 0, 0, 0),
    (60, 11, 3, 14, 8, 3, 0.4),
    (60, 7, 3, 14, 10, 5, 0.8),
    (60, 10, 6, 12, 8, 3, 0.5),
)
TURNS = {"told": (1, 1), "few": (2, 3), "some": (4, 8), "many": (9, 22)}
CUT = 0.7  # share of conversations whose answers are cut, half of these right after their beginning
ASKED = 0.5  # share of brief rows that begin with a question

Row = tuple[list[int], list[bool]]
Batch = tuple[Tensor, Tensor, Tensor]


class Encoder:
    """Turns drawn conversations into token rows with the answers marked."""

    def __init__(self, tokenizer: Tokenizer, speaker: Speaker) -> None:
        """Keep the tokenizer and what is drawn from."""
        self.tokenizer = tokenizer
        self.speaker = speaker
        self.rng = random.Random(speaker.rng.random())
        self.known: dict[str, list[int]] = {}
        self.answers = every_answer(speaker.corpus)
        self.phase = 0

    def answer(self, text: str) -> list[int]:
        """Encode an answer."""
        if text not in self.known:
            self.known[text] = self.tokenizer.encode(text).ids
        return self.known[text]

    def question(self, text: str) -> list[int]:
        """Encode a question, sometimes cut in unusual places, with a few tokens left out."""
        pieces = self.cut(" " + text) if self.rng.random() < LOOSE else [" " + text]
        tokens = [token for piece in pieces for token in self.tokenizer.encode(piece).ids]
        return [token for token in tokens if self.rng.random() > LOST] or tokens

    def cut(self, text: str) -> list[str]:
        """Cut some words in two, by our own seed: the tokenizer's own dropout knows none."""
        spots = [i for i in range(2, len(text)) if text[i - 1 : i + 1].isalpha()]
        places = [0, *(i for i in spots if self.rng.random() < CUT_WORDS), len(text)]
        return [text[start:end] for start, end in zip(places, places[1:], strict=False)]

    def single(self) -> Row:
        """Draw one question with the token that says which answer comes."""
        system, turn = self.speaker.system(), self.speaker.ask_first()
        tokens = [SYSTEM, *self.tokenizer.encode(" " + system).ids, END] if system else []
        tokens += [USER, *self.question(turn.question), END, ASSISTANT]
        return [*tokens, self.answer(turn.answer)[0]], [False] * len(tokens) + [True]

    def recital(self) -> Row:
        """Draw an answer, each as often as any other, without its question."""
        answer = [*self.answer(self.rng.choice(self.answers)), END]
        return [END, ASSISTANT, *answer], [False] * 3 + [True] * (len(answer) - 1)

    def brief(self) -> Row:
        """Draw a follow-up after the beginning of an answer; every pair of them comes often."""
        rng, fact = self.rng, self.rng.choice(self.speaker.facts)
        before = self.speaker.ask_fact(fact).question if rng.random() < ASKED else ""
        tokens = [USER, *self.question(before)] if before else []
        tokens += [END, ASSISTANT, *self.said(fact.answer), END]
        turn = self.speaker.ask_follow(fact.name)
        tokens += [USER, *self.question(turn.question), END, ASSISTANT]
        return [*tokens, self.answer(turn.answer)[0]], [False] * len(tokens) + [True]

    def said(self, text: str) -> list[int]:
        """Cut an answer somewhere, as often as not right after its beginning."""
        answer = self.answer(text)
        longest = len(answer) if self.rng.random() < 0.5 else min(4, len(answer))
        return answer[: self.rng.randint(1, longest)]

    def talk(self, turns: int) -> Row:
        """Draw a conversation; cut answers leave room for more turns."""
        tokens: list[int] = []
        learn: list[bool] = []
        system = self.speaker.system()
        if system:
            tokens += [SYSTEM, *self.tokenizer.encode(" " + system).ids, END]
        learn += [False] * len(tokens)
        is_cut = turns > 1 and self.rng.random() < CUT
        for turn in self.speaker.conversation(turns):
            asked = [USER, *self.question(turn.question), END, ASSISTANT]
            said = self.said(turn.answer) if is_cut else self.answer(turn.answer)
            tokens += [*asked, *said, END]
            learn += [False] * len(asked) + [True] * len(said) + [not is_cut]
        return tokens[:LONGEST], learn[:LONGEST]

    def row(self) -> Row:
        """Draw a row: tokens, and True for each to be learned."""
        kind = self.rng.choices(KINDS, SHARES[self.phase])[0]
        if kind in TURNS:
            return self.talk(self.rng.randint(*TURNS[kind]))
        if kind == "brief":
            return self.brief()
        return self.single() if kind == "single" else self.recital()


def row_length(row: Row) -> int:
    """Return the number of tokens of a row."""
    return len(row[0])


def padded(length: int, step: int = 4) -> int:
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
    """Yield batches of rows of like length; the kinds of rows change with the phases."""
    given = 0
    while given < steps:
        encoder.phase = sum(given >= share * steps for share in PHASES)
        rows: list[Row] = []
        total = 0
        while total < POOL * ROW_TOKENS:
            rows.append(encoder.row())
            total += len(rows[-1][0])
        rows.sort(key=row_length)
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
