"""Measures the finished Guide through mlx_lm: exported folder, chat template, greedy."""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter
from pathlib import Path

import as_app
import mlx.core as mx
from corpus import SAME, Corpus, bare, load_corpus
from dialogue import Speaker, Turn, typo
from mlx_lm import generate, load, stream_generate
from mlx_lm.utils import dequantize_model

BATCH = 32
HERE = Path(__file__).parent
DECLINED = "I am a tiny built-in guide and know only this app"
Messages = list[dict[str, str]]
Case = tuple[Messages, str, str]


def user(text: str) -> dict[str, str]:
    """Make a user message."""
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    """Make an assistant message."""
    return {"role": "assistant", "content": text}


class Guide:
    """The finished model."""

    def __init__(self, folder: Path) -> None:
        """Load the model."""
        self.model, self.tokenizer = load(str(folder))
        if as_app.IS_FAST:
            dequantize_model(self.model)  # as the app does on a processor

    def tokens(self, messages: Messages) -> list[int]:
        """Render a conversation."""
        return self.tokenizer.apply_chat_template(messages, add_generation_prompt=True)

    def right(self, prompts: list[list[int]], guesses: list[str]) -> list[bool]:
        """Say of each prompt whether its greedy answer is the guess, in one pass over all."""
        wanted = [[*self.tokenizer.encode(text), self.tokenizer.eos_token_id] for text in guesses]
        rows = [prompt + answer for prompt, answer in zip(prompts, wanted, strict=True)]
        longest = max(len(row) for row in rows)
        best = self.model(mx.array([row + [0] * (longest - len(row)) for row in rows])).argmax(-1)
        return [
            line[len(prompt) - 1 : len(prompt) - 1 + len(answer)] == answer
            for line, prompt, answer in zip(best.tolist(), prompts, wanted, strict=True)
        ]

    def answers(self, asked: list[Messages], guesses: list[str]) -> list[str]:
        """Answer many conversations, greedily; what is guessed rightly need not be written."""
        prompts = [self.tokens(messages) for messages in asked]
        found: list[str] = []
        for start in range(0, len(prompts), BATCH):
            some, texts = prompts[start : start + BATCH], guesses[start : start + BATCH]
            for prompt, text, is_right in zip(some, texts, self.right(some, texts), strict=True):
                if not is_right:
                    text = generate(self.model, self.tokenizer, prompt, max_tokens=160).strip()
                found.append(text)
        return found

    def speed(self, count: int = 12) -> float:
        """Return tokens per second of single answers."""
        rates = []
        for text in ["How do I download a model?", "What is a token?", "Write a poem."] * count:
            prompt = self.tokens([user(text)])
            parts = list(stream_generate(self.model, self.tokenizer, prompt, max_tokens=160))
            rates.append(parts[-1].generation_tps)
        return sorted(rates)[len(rates) // 2]


def sentences(text: str) -> list[str]:
    """Cut a text into sentences."""
    return [part for part in re.split(r"(?<=[.?!:])\s+", text.strip()) if part]


def canonical(corpus: Corpus) -> set[str]:
    """Return every answer that the Guide was taught."""
    found = set(corpus.outside.answers.values())
    for fact in corpus.facts.values():
        found.add(fact.answer)
        found |= {text for text in fact.follow.values() if not text.startswith("@")}
    return found | {kind.answer for kind in corpus.follow.values() if kind.answer != SAME}


def mistyped(text: str) -> str:
    """Put one typing error into a text, always the same one."""
    return typo(random.Random(text), text)


def held_facts(corpus: Corpus, glossary: bool | None = None) -> list[Case]:
    """Return the held-out questions; ``glossary`` tells those made by frames from all others."""
    return [
        ([user(text)], fact.answer, fact.name)
        for fact in corpus.facts.values()
        for text in fact.held
        if glossary is None or glossary == (text in fact.framed)
    ]


def held_follow(corpus: Corpus) -> list[Case]:
    """Return held-out follow-up questions after every fact that has an answer for them."""
    speaker, rng = Speaker(corpus, 5), random.Random(5)
    cases = []
    for fact in corpus.facts.values():
        for kind in fact.follow:
            if not corpus.follow[kind].held:
                continue
            answer, _ = speaker.follow_answer(fact.name, kind)
            first = rng.choice(fact.held or fact.train[0])
            text = rng.choice(corpus.follow[kind].held)
            messages = [user(first), assistant(fact.answer), user(text)]
            cases.append((messages, answer, f"{fact.name}>{kind}"))
    return cases


def drawn(corpus: Corpus) -> set[str]:
    """Return the outside questions that training can make of frames and topics, bare."""
    return {
        bare(frame.replace("{" + key + "}", topic))
        for key, topics in corpus.outside.topics.items()
        for frame in corpus.outside.frames
        if "{" + key + "}" in frame
        for topic in topics
    }


def held_outside(corpus: Corpus) -> tuple[list[Case], list[Case]]:
    """Return held-out questions from outside: by hand, and frames over held-out topics."""
    seen = drawn(corpus)
    texts = [text for text, _ in corpus.outside.held if bare(text) not in seen]
    by_hand = [([user(text)], DECLINED, "outside") for text in texts]
    rng = random.Random(6)
    made = []
    for key, topics in corpus.outside.held_topics.items():
        frames = [frame for frame in corpus.outside.frames if "{" + key + "}" in frame]
        for topic in topics:
            for frame in rng.sample(frames, 2):
                text = frame.replace("{" + key + "}", topic)
                made.append(([user(text)], DECLINED, "outside"))
    return by_hand, made


def held_turn(corpus: Corpus, rng: random.Random, before: Turn | None, speaker: Speaker) -> Turn:
    """Draw a turn of a conversation from the held-out questions."""
    chance = rng.random()
    if before and before.fact and chance < 0.3:
        kinds = [k for k in corpus.facts[before.fact].follow if corpus.follow[k].held]
        if kinds:
            kind = rng.choice(kinds)
            answer, fact = speaker.follow_answer(before.fact, kind)
            return Turn(rng.choice(corpus.follow[kind].held), answer, fact, "follow")
    if chance > 0.85:
        text, kind = rng.choice(corpus.outside.held)
        return Turn(text, corpus.outside.answers[kind], None, "outside")
    fact = rng.choice([fact for fact in corpus.facts.values() if fact.held])
    texts = [text for text in fact.held if text not in speaker.follow_texts] or fact.held
    return Turn(rng.choice(texts), fact.answer, fact.name)


def long_talks(guide: Guide, corpus: Corpus, count: int, turns: int) -> list[tuple[str, str, str]]:
    """Hold conversations of held-out questions; the history is what the Guide really said."""
    speaker, rng = Speaker(corpus, 7), random.Random(7)
    talks: list[Messages] = [[] for _ in range(count)]
    before: list[Turn | None] = [None] * count
    results = []
    for _ in range(turns):
        drawn = [held_turn(corpus, rng, turn, speaker) for turn in before]
        for talk, turn in zip(talks, drawn, strict=True):
            talk.append(user(turn.question))
        ask = corpus.outside.answers["ask"]
        given = guide.answers(
            talks, [ask if turn.kind == "outside" else turn.answer for turn in drawn]
        )
        for i, (turn, answer) in enumerate(zip(drawn, given, strict=True)):
            wanted = DECLINED if turn.kind == "outside" else turn.answer
            results.append((turn.question, wanted, answer))
            talks[i].append(assistant(answer))
            right = answer.startswith(wanted)
            before[i] = turn if right else None
    return results


def shown(right: int, total: int) -> str:
    """Write a share out."""
    return f"{right:,} of {total:,} ({100 * right / max(1, total):.1f} %)"


class Report:
    """Collects the figures."""

    def __init__(self, known: set[str], declining: str, verbose: bool, every: int = 1) -> None:
        """Start with the answers that the Guide was taught."""
        self.declining = declining
        self.every = every
        self.known = {sentence for text in known for sentence in sentences(text)}
        self.verbose = verbose
        self.figures: dict[str, object] = {}
        self.counts: dict[str, tuple[int, int]] = {}
        self.broken: list[str] = []
        self.said = 0

    def judge(self, title: str, cases: list[tuple[str, str, str]], names: list[str]) -> None:
        """Count the right answers: (question, wanted, given)."""
        right, declined, wrong = 0, 0, Counter[str]()
        for (question, wanted, given), name in zip(cases, names, strict=True):
            parts = sentences(given)
            self.said += len(parts)
            self.broken += [part for part in parts if part not in self.known]
            if given == wanted or (wanted == DECLINED and given.startswith(DECLINED)):
                right += 1
                continue
            declined += given.startswith(DECLINED)
            wrong[name] += 1
            if self.verbose:
                print(f"  [{name}] {question!r} -> {given[:70]!r}")
        self.counts[title] = right, len(cases)
        line = shown(right, len(cases))
        if not all(wanted == DECLINED for _, wanted, _ in cases):
            line += f", wrongly declined {declined}"
        self.note(title, line)

    def note(self, title: str, line: str) -> None:
        """Print a figure and keep it."""
        self.figures[title] = line
        print(f"{title}: {line}", flush=True)

    def add_up(self, title: str, *titles: str) -> None:
        """Take several figures together."""
        right, total = (sum(part) for part in zip(*(self.counts[t] for t in titles), strict=True))
        self.note(title, shown(right, total))

    def ask(self, guide: Guide, title: str, cases: list[Case], *, typos: bool = False) -> None:
        """Ask all cases and judge the answers."""
        cases = cases[:: self.every]
        asked = [list(messages) for messages, _, _ in cases]
        for messages in asked if typos else []:
            messages[-1] = user(mistyped(messages[-1]["content"]))
        guesses = [self.declining if wanted == DECLINED else wanted for _, wanted, _ in cases]
        given = guide.answers(asked, guesses)
        triples = [
            (messages[-1]["content"], wanted, answer)
            for messages, (_, wanted, _), answer in zip(asked, cases, given, strict=True)
        ]
        self.judge(title, triples, [name for _, _, name in cases])


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=HERE / "model")
    parser.add_argument("--verbose", action="store_true", help="show every wrong answer")
    parser.add_argument("--every", type=int, default=1, help="ask only every n-th question")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    mx.random.seed(0)
    corpus = load_corpus()
    guide = Guide(options.model)
    declining = corpus.outside.answers["ask"]
    report = Report(canonical(corpus), declining, options.verbose, options.every)
    start = time.time()
    by_hand, made = held_outside(corpus)
    report.ask(guide, "Held-out questions", held_facts(corpus, False))
    report.ask(guide, "Held-out glossary questions", held_facts(corpus, True))
    report.add_up("All held-out questions", "Held-out questions", "Held-out glossary questions")
    report.ask(guide, "Held-out, with a typing error", held_facts(corpus)[::3], typos=True)
    report.ask(guide, "Held-out follow-ups", held_follow(corpus))
    report.ask(guide, "Outside, hand-written, declined", by_hand)
    report.ask(guide, "Outside, held-out topics, declined", made)
    report.add_up(
        "Outside, all", "Outside, hand-written, declined", "Outside, held-out topics, declined"
    )
    talks = long_talks(guide, corpus, 30 // options.every, 10)
    report.judge("Conversations of 10 turns", talks, ["talk"] * len(talks))
    report.figures["Broken sentences"] = f"{len(report.broken)} of {report.said}"
    report.figures["Tokens per second"] = round(guide.speed())
    broken = report.figures["Broken sentences"]
    print(f"Broken sentences: {broken}", *report.broken[:20], sep="\n  ")
    print(f"Tokens per second: {report.figures['Tokens per second']}")
    print(f"Evaluated in {time.time() - start:.0f} seconds")
    if options.json:
        options.json.write_text(json.dumps(report.figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
