"""Makes the tokenizer: plain pieces of words, and one token for the beginning of each answer."""

from __future__ import annotations

import re

from corpus import SAME, Corpus
from dialogue import Speaker
from export import SPECIALS
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SEED = 20
PAD, END, SYSTEM, USER, ASSISTANT = range(len(SPECIALS))


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
