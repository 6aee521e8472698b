"""Makes training conversations out of the corpus: wording, typing errors and turns."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from corpus import SAME, Corpus, Fact, bare, draw, held_texts

BEFORE = (
    "please", "hey,", "hi,", "hello,", "ok,", "so", "um,", "quick question:", "sorry,",
    "and", "well,", "excuse me,", "now", "one more thing:", "question:", "hi guide,",
    "thanks.", "ok thanks,", "i was wondering,", "also,", "but", "then", "good morning,",
)  # fmt: skip
BEFORE_ASKING = (
    "could you tell me", "can you tell me", "do you know", "any idea", "i wonder", "tell me",
    "i would like to know", "please tell me", "do you happen to know", "i am asking myself",
    "i want to know", "maybe you know", "my question is", "can you say", "i don't know",
)  # fmt: skip
AFTER = (
    "please", "thanks", "in this app", "in pomona", "here", "then", "exactly", "now",
    "again", "for me", "thank you", "pls", "in the app", "by the way", "actually",
)  # fmt: skip
SMALL_WORDS = {"the", "a", "an", "do", "does", "i", "my", "is", "it", "of", "to", "me", "can", "in"}
ARTICLE = re.compile(r"^(?:a|an|the|my) ")
WORD = re.compile(r"\w+")
ASKING = re.compile(r"(?:how|what|where|which|who|why|when) ")
HOWTO = re.compile(r"^(?:how do i|how can i|how to|i want to|can i) (?!use it$)(.+)$")
THING = re.compile(
    r"\b(?:the |a |an |my |this |these |our )?"
    r"(?:models?|downloads?|chats?|conversations?|pomona|app|llms?|answers?|program|messages?|disk)\b"
)
OURS = re.compile(
    r"\b(?:models?|downloads?|chats?|conversations?|pomona|apps?|llms?|answers?|repl\w+|response\w*"
    r"|tokens?|prompt\w*|memory|ram|\d*gb|context|discover|manage|tabs?|guide|badges?|guests?"
    r"|settings?|temperature|top-\w|hugging|hub|lm|gpu|cpu|bits?|\d*bit|quant\w*|port|api|thinking"
    r"|installed|fits?|will|score|system|regenerate|presets?|privat\w*|it|you|here|this)\b|-|\d"
)
SYSTEMS = (
    "You are a helpful assistant.", "Answer briefly.", "You are a pirate.", "Be kind.",
    "You are a patient teacher. Answer in short sentences.", "Answer in English only.",
    "You are an expert in computers.", "Always answer in French.", "Speak like a poet.",
    "Do not use lists.", "You are Pomona Guide.", "Be concise and friendly.", "Think first.",
    "You are a large language model made to help with everything.", "Use plain words.",
    "You are a helpful coding assistant. Write clean code and explain every step.",
)  # fmt: skip


TYPING_ERRORS = 0.38  # share of questions with one or more
PATTERNS = 0.5  # share of questions drawn from patterns
OUTSIDE = 0.39  # share of first questions that come from outside
INVENTED = 0.2  # share of outside topics that are no words, so that unknown words are outside


@dataclass
class Turn:
    """One question, its right answer and the fact it belongs to (None: outside)."""

    question: str
    answer: str
    fact: str | None = None
    kind: str = "fact"


def typo(rng: random.Random, text: str) -> str:
    """Put one typing error into a text."""
    spots = [i for i in range(len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if len(text) < 5 or not spots:
        return text
    i = rng.choice(spots)
    way = rng.randrange(5)
    if way == 0:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    if way == 1:
        return text[:i] + text[i + 1 :]
    if way == 2:
        return text[:i] + text[i] + text[i:]
    letter = rng.choice("abcdefghijklmnopqrstuvwxyz")
    return text[:i] + letter + text[i + (way == 3) :]


def weight(fact: Fact) -> float:
    """Return how often a fact is drawn: by its own questions, and by its terms."""
    own = sum(forms[0] not in fact.framed for forms in fact.train)
    return (own / 40) ** 0.7 + 0.25 * len(fact.terms) ** 0.5


class Speaker:
    """Draws questions and conversations with its own random numbers."""

    def __init__(self, corpus: Corpus, seed: int) -> None:
        """Keep the corpus and prepare what is drawn from."""
        self.corpus = corpus
        self.rng = random.Random(seed)
        self.facts = list(corpus.facts.values())
        self.weights = [weight(fact) for fact in self.facts]
        self.barred = held_texts(corpus)
        self.owners = {
            bare(text): fact.name for fact in self.facts for forms in fact.train for text in forms
        }
        self.follow_texts = {
            text for kind in corpus.follow.values() for text in kind.train + kind.held
        }
        self.fact_texts = {
            text for fact in self.facts for forms in fact.train for text in forms
        } | {text for fact in self.facts for text in fact.held}
        self.frames = {
            key: [frame for frame in corpus.outside.frames if "{" + key + "}" in frame]
            for key in corpus.outside.topics
        }
        topics = " ".join(word for words in corpus.outside.topics.values() for word in words)
        self.words = sorted({word for word in WORD.findall(topics) if len(word) > 4})
        self.swaps: dict[str, list[tuple[re.Pattern[str], str, list[str]]]] = {}
        for group in corpus.synonyms:
            for word in group:
                entry = (re.compile(rf"\b{re.escape(word)}\b"), word, group)
                self.swaps.setdefault(WORD.findall(word)[0], []).append(entry)

    def swap_word(self, text: str) -> str:
        """Replace one word or phrase by another with the same meaning."""
        starts = dict.fromkeys(WORD.findall(text))
        near = [entry for start in starts for entry in self.swaps.get(start, ())]
        fitting = [entry for entry in near if entry[0].search(text)]
        if not fitting:
            return text
        pattern, word, group = self.rng.choice(fitting)
        other = self.rng.choice([entry for entry in group if entry != word])
        return pattern.sub(other, text, count=1)

    def reword(self, text: str, *, plain: bool = False) -> str:
        """Say a question in another way; ``plain`` keeps the words (for small talk)."""
        rng, start = self.rng, text
        howto = HOWTO.match(text)
        if howto and rng.random() < 0.45:
            text = rng.choice(self.corpus.howto).replace("{x}", howto[1])
        if not plain:
            for chance in (0.4, 0.15):
                text = self.swap_word(text) if rng.random() < chance else text
            words = text.split()
            chance = rng.random()
            if len(words) > 4 and chance < 0.14:
                words = [word for word in words if word not in SMALL_WORDS or rng.random() < 0.4]
                if chance < 0.04:
                    rng.shuffle(words)
            elif len(words) > 5 and chance < 0.18:
                words.pop(rng.randrange(len(words)))
            text = " ".join(words)
            if ASKING.match(text) and rng.random() < 0.08:
                text = f"{rng.choice(BEFORE_ASKING)} {text}"
            elif rng.random() < 0.12:
                text = f"{rng.choice(BEFORE)} {text}"
            if rng.random() < 0.08:
                text = f"{text} {rng.choice(AFTER)}"
        return self.mistype(start if bare(text) in self.barred else text or "?")

    def mistype(self, text: str) -> str:
        """Add punctuation or leave it out, and sometimes add typing errors."""
        rng = self.rng
        if rng.random() < TYPING_ERRORS:
            for _ in range(rng.randint(1, 1 + len(text) // 40)):
                text = typo(rng, text)
        if rng.random() < 0.3:
            text = text.replace("'", "")
        if text[-1].isalnum():
            text += rng.choices(("", "?", ".", "!", " ?", "??"), (50, 40, 5, 2, 2, 1))[0]
        return text

    def ask_fact(self, fact: Fact | None = None, *, first: bool = True) -> Turn:
        """Draw a question about a fact."""
        fact = fact or self.rng.choices(self.facts, self.weights)[0]
        for _ in range(20):
            text = self.fact_text(fact)
            if first or text not in self.follow_texts:
                break
        plain = fact.name.startswith("talk.") and self.rng.random() < 0.6
        return Turn(self.reword(text, plain=plain), fact.answer, fact.name)

    def fact_text(self, fact: Fact) -> str:
        """Draw a question from a fact's own ones or from its patterns, never a held-out one."""
        while True:
            if fact.patterns and self.rng.random() < PATTERNS:
                text = draw(self.rng, self.rng.choice(fact.patterns), self.corpus.slots)
                if self.owners.get(bare(text), fact.name) != fact.name:
                    continue
            else:
                text = self.rng.choice(self.rng.choice(fact.train))
            if bare(text) not in self.barred:
                return text

    def topic(self, key: str) -> str:
        """Draw a topic from outside, now and then an invented word or one without its article."""
        rng = self.rng
        chance = rng.random()
        if chance < INVENTED:
            first, second = rng.choice(self.words), rng.choice(self.words)
            return first[: rng.randint(2, 4)] + second[rng.randint(1, 3) :]
        text = rng.choice(self.corpus.outside.topics[key])
        return ARTICLE.sub("", text) if chance > 0.85 else text

    def trap_text(self) -> str:
        """Put a topic from outside in the place of the thing that an app question is about."""
        while True:
            fact = self.rng.choice(self.facts)
            if fact.terms or fact.name.startswith("talk."):
                continue
            topic = self.topic("n")
            before, found, after = THING.sub("\0", self.fact_text(fact), count=1).partition("\0")
            text = f"{before}{topic}{after}"
            if found and not OURS.search(before + after) and bare(text) not in self.barred:
                return text

    def outside_pattern(self) -> tuple[str, str]:
        """Draw from the patterns of questions from outside, never a held-out one or one of ours."""
        while True:
            pattern, kind = self.rng.choice(self.corpus.outside.patterns)
            text = draw(self.rng, pattern, self.corpus.slots)
            if bare(text) not in self.barred and bare(text) not in self.owners:
                return text, kind

    def outside_text(self) -> tuple[str, str]:
        """Draw a question that the Guide declines, and the kind of answer."""
        rng = self.rng
        outside = self.corpus.outside
        chance = rng.random()
        if chance < 0.38:
            return rng.choice(outside.train)
        if chance < 0.48:
            return self.trap_text(), "ask"
        if chance < 0.7:
            return self.outside_pattern()
        key = rng.choices(list(self.frames), (6, 4, 1, 1))[0]
        frame = rng.choice(self.frames[key])
        parts = re.split(r"\{\w\}", frame)
        text = parts[0] + "".join(self.topic(key) + part for part in parts[1:])
        return text, "other" if "translate" in text else "ask"

    def ask_outside(self) -> Turn:
        """Draw a question from outside."""
        text, kind = self.outside_text()
        answer = self.corpus.outside.answers[kind]
        if kind == "other":
            return Turn(self.mistype(text), answer, kind="outside")
        return Turn(self.reword(text), answer, kind="outside")

    def follow_answer(self, name: str | None, kind: str) -> tuple[str, str | None]:
        """Give the answer to a follow-up after a fact, and the fact talked of then."""
        facts = self.corpus.facts
        fact = facts[name] if name else facts["talk.limits"]
        answer = fact.follow.get(kind) or self.corpus.follow[kind].answer
        if answer == SAME:
            return fact.answer, name
        if answer.startswith("@"):
            return facts[answer[1:]].answer, answer[1:]
        return answer, name

    def ask_follow(self, name: str | None) -> Turn:
        """Draw a follow-up to a fact, mostly one that the fact has an answer for."""
        own = [kind for kind in self.corpus.facts[name or "talk.limits"].follow]
        every = list(self.corpus.follow)
        kind = self.rng.choice(own if own and self.rng.random() < 0.75 else every)
        text = self.rng.choice(self.corpus.follow[kind].train)
        if name is None and kind == "again":
            kind = "more"
        answer, fact = self.follow_answer(name, kind)
        return Turn(self.reword(text, plain=self.rng.random() < 0.7), answer, fact, "follow")

    def ask_first(self) -> Turn:
        """Draw the first turn of a conversation."""
        chance = self.rng.random()
        if chance < 0.02:
            kind = self.rng.choice(list(self.corpus.follow.values()))
            text = self.rng.choice(kind.train)
            if text not in self.fact_texts:
                answer = self.corpus.facts["talk.unclear"].answer
                return Turn(self.mistype(text), answer, "talk.unclear")
        return self.ask_outside() if chance < 0.02 + OUTSIDE else self.ask_fact()

    def conversation(self, turns: int) -> list[Turn]:
        """Draw a conversation of so many turns."""
        talk = [self.ask_first()]
        depth = 0
        while len(talk) < turns:
            chance = self.rng.random()
            if chance < 0.42 and depth < 3 and talk[-1].fact != "talk.unclear":
                talk.append(self.ask_follow(talk[-1].fact))
                depth += 1
                continue
            depth = 0
            outside = chance > 0.8
            talk.append(self.ask_outside() if outside else self.ask_fact(first=False))
        return talk

    def system(self) -> str | None:
        """Draw a system prompt, mostly none."""
        return self.rng.choice(SYSTEMS) if self.rng.random() < 0.08 else None
