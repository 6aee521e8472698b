"""Reads the Guide's training texts and splits off the held-out questions."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

DATA = Path(__file__).parent / "data"
CHOICE = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]")
GROUP = re.compile(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")
SAME = "@same"


@dataclass
class Fact:
    """One thing the Guide knows: an answer, its questions and its follow-up answers.

    ``framed`` are the first forms of those questions that frames made of its terms.
    """

    name: str
    answer: str = ""
    terms: list[str] = field(default_factory=list)
    follow: dict[str, str] = field(default_factory=dict)
    train: list[list[str]] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    framed: set[str] = field(default_factory=set)


@dataclass
class FollowUp:
    """A kind of follow-up question and the answer for facts without one of their own."""

    name: str
    answer: str = ""
    train: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)


@dataclass
class Outside:
    """Questions the Guide declines: hand-written ones and templates over topics."""

    answers: dict[str, str]
    train: list[tuple[str, str]] = field(default_factory=list)
    held: list[tuple[str, str]] = field(default_factory=list)
    patterns: list[tuple[str, str]] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    topics: dict[str, list[str]] = field(default_factory=dict)
    held_topics: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Corpus:
    """Everything the Guide is trained and tested on."""

    facts: dict[str, Fact]
    follow: dict[str, FollowUp]
    outside: Outside
    howto: list[str]
    synonyms: list[list[str]]
    slots: dict[str, list[str]]


def tidy(text: str) -> str:
    """Bring a question into the form in which the chat template shows it to the model."""
    return " ".join(text.replace("\u2019", "'").lower().split())


def is_held(text: str) -> bool:
    """Say whether a question belongs to the fifth that is never trained."""
    return hashlib.sha256(tidy(text).encode()).digest()[0] % 5 == 0


def expand(line: str) -> list[str]:
    """Write out every choice "(a|b)" and option "[a]" of a line."""
    parts: list[list[str]] = []
    position = 0
    for match in CHOICE.finditer(line):
        parts.append([line[position : match.start()]])
        choice, option = match.groups()
        parts.append(choice.split("|") if choice is not None else ["", option])
        position = match.end()
    parts.append([line[position:]])
    return [tidy("".join(words)) for words in itertools.product(*parts)]


def bare(text: str) -> str:
    """Leave out everything but letters, digits and single blanks."""
    return " ".join(re.sub(r"[^\w ]", " ", text).split()) or text


def draw(rng: random.Random, pattern: str, slots: dict[str, list[str]]) -> str:
    """Fill the slots of a pattern and decide its choices and options at random."""
    text = SLOT.sub(lambda match: rng.choice(slots[match[1]]), pattern)
    while match := GROUP.search(text):
        choice, option = match.groups()
        left_out = choice is None and rng.random() > 0.4
        part = "" if left_out else rng.choice((choice or option or "").split("|"))
        text = text[: match.start()] + part + text[match.end() :]
    return tidy(text)


def words_of(lines: list[str]) -> list[str]:
    """Split lines at semicolons."""
    return [tidy(word) for line in lines for word in line.split(";")]


def lines_of(path: Path) -> list[str]:
    """Return the lines of a data file without comments and blanks."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not re.match(r"#(?!#)", line)]


def sections(path: Path) -> dict[str, list[str]]:
    """Split a data file at its "## name" lines."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines_of(path):
        if line.startswith("## "):
            name = line[3:].strip()
            if name in found:
                raise ValueError(f"{path.name}: {name} occurs twice")
            found[name] = []
        else:
            found[name].append(line)
    return found


def lines_by_name(glob: str) -> Iterator[tuple[str, str]]:
    """Yield every line of the sections of several files, with its section's name."""
    for path in sorted(DATA.glob(glob)):
        for name, lines in sections(path).items():
            yield from ((name, line) for line in lines)


def add_question(fact: Fact, line: str, key: str | None = None) -> None:
    """Add one question to a fact, held out or not as its hash says."""
    forms = expand(line)
    if forms in fact.train or forms[0] in fact.held:
        return
    if is_held(key or line):
        fact.held.append(forms[0])
    else:
        fact.train.append(forms)


def read_fact(name: str, lines: list[str], frames: list[str]) -> Fact:
    """Read one fact; the terms of a glossary fact go into every frame."""
    fact = Fact(name)
    questions = []
    for line in lines:
        if line.startswith("= "):
            fact.answer = line[2:]
        elif line.startswith("> "):
            kind, _, answer = line[2:].partition(": ")
            fact.follow[kind] = answer
        elif line.startswith("@ "):
            fact.terms = [term.strip() for term in line[2:].split(",")]
        else:
            questions.append(line)
    for line in questions:
        add_question(fact, line)
    for frame in frames if fact.terms else []:
        line = frame.replace("{t}", f"({'|'.join(fact.terms)})")
        add_question(fact, line, name + frame)
        fact.framed.add(expand(line)[0])
    return fact


def read_facts(frames: list[str]) -> dict[str, Fact]:
    """Read every fact and glossary file."""
    facts: dict[str, Fact] = {}
    for path in [*sorted(DATA.glob("facts_*.txt")), DATA / "glossary.txt"]:
        for name, lines in sections(path).items():
            facts[name] = read_fact(name, lines, frames)
    for name, line in lines_by_name("questions_more_*.txt"):
        add_question(facts[name], line)
    for name, line in lines_by_name("patterns_*.txt"):
        facts[name].patterns.append(line)
    for fact in facts.values():
        for answer in fact.follow.values():
            if answer.startswith("@") and answer[1:] not in facts:
                raise ValueError(f"{fact.name}: unknown fact {answer}")
    return facts


def read_follow() -> dict[str, FollowUp]:
    """Read the kinds of follow-up questions."""
    found = {}
    for name, lines in sections(DATA / "followups.txt").items():
        kind = found[name] = FollowUp(name, lines[0][2:])
        for line in lines[1:]:
            (kind.held if is_held(line) else kind.train).append(tidy(line))
    return found


def read_outside() -> Outside:
    """Read the questions that the Guide declines."""
    pairs = [line.partition(" = ") for line in lines_of(DATA / "outside_answers.txt")]
    outside = Outside({name: answer for name, _, answer in pairs})
    for end in ("", "_more", "_traps", "_world", "_links", "_senses"):
        for name, lines in sections(DATA / f"outside{end}.txt").items():
            kind = name.partition(" = ")[2]
            for line in lines:
                (outside.held if is_held(line) else outside.train).append((tidy(line), kind))
    for name, lines in sections(DATA / "outside_patterns.txt").items():
        outside.patterns += [(line, name.partition(" = ")[2]) for line in lines]
    topics: dict[str, list[str]] = {}
    for path in (DATA / "outside_frames.txt", DATA / "outside_topics.txt"):
        for name, lines in sections(path).items():
            topics[name] = topics.get(name, []) + lines
    outside.frames = [tidy(line) for line in topics.pop("frames")]
    for name, lines in topics.items():
        words = list(dict.fromkeys(words_of(lines)))
        outside.topics[name] = [topic for topic in words if not is_held(topic)]
        outside.held_topics[name] = [topic for topic in words if is_held(topic)]
    return outside


def load_corpus() -> Corpus:
    """Read all data files."""
    frames = sections(DATA / "frames.txt")
    synonyms = [words_of([line]) for line in lines_of(DATA / "synonyms.txt")]
    slots = {name: words_of(lines) for name, lines in sections(DATA / "slots.txt").items()}
    facts = read_facts(frames["glossary"])
    return Corpus(facts, read_follow(), read_outside(), frames["howto"], synonyms, slots)


def held_texts(corpus: Corpus) -> set[str]:
    """Return everything held out, bare; no training text may be one of these."""
    found = {bare(text) for fact in corpus.facts.values() for text in fact.held}
    found |= {bare(text) for text, _ in corpus.outside.held}
    return found | {bare(text) for kind in corpus.follow.values() for text in kind.held}


def clashes(corpus: Corpus) -> list[str]:
    """Name the questions that occur in more than one place."""
    seen: dict[str, str] = {}
    found = []
    for fact in corpus.facts.values():
        for text in [form for forms in fact.train for form in forms] + fact.held:
            if seen.setdefault(text, fact.name) != fact.name:
                found.append(f"{text}: {seen[text]} and {fact.name}")
    for text, _ in corpus.outside.train + corpus.outside.held:
        if text in seen:
            found.append(f"{text}: {seen[text]} and outside")
    return found


if __name__ == "__main__":
    loaded = load_corpus()
    counts = [len(fact.train) + len(fact.held) for fact in loaded.facts.values()]
    print(len(loaded.facts), "facts,", sum(counts), "questions, fewest", min(counts))
    print(sum(len(fact.held) for fact in loaded.facts.values()), "held out")
    print(len(loaded.outside.train), "+", len(loaded.outside.held), "outside by hand")
    print("\n".join(clashes(loaded)))
