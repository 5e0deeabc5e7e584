"""How a speaker writes: terse, chatty, formal, or with a thumb on a phone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

_CONTRACTIONS = {
    "I'm": "I am", "I've": "I have", "I'll": "I will", "it's": "it is", "It's": "It is", "that's": "that is",
    "That's": "That is", "don't": "do not", "didn't": "did not", "can't": "cannot", "won't": "will not",
    "doesn't": "does not", "isn't": "is not", "wasn't": "was not", "haven't": "have not", "we're": "we are",
    "We're": "We are", "we've": "we have", "you're": "you are", "You're": "You are", "you've": "you have",
    "couldn't": "could not", "wouldn't": "would not", "there's": "there is", "There's": "There is",
}  # fmt: skip
_SHORTHAND = {
    "you": "u", "your": "ur", "because": "cuz", "going to": "gonna", "want to": "wanna", "really": "rly",
    "probably": "prob", "thanks": "thx", "Thanks": "Thx", "with": "w/", "okay": "ok", "about": "abt", "though": "tho",
    "by the way": "btw", "By the way": "Btw", "to be honest": "tbh", "people": "ppl", "please": "pls",
    "tomorrow": "tmrw",
}  # fmt: skip
_TYPOS = {
    "definitely": "definately", "really": "realy", "the": "teh", "because": "becuase", "believe": "beleive",
    "friend": "freind", "their": "thier", "weird": "wierd", "finally": "finaly", "tomorrow": "tommorow",
    "with": "wiht", "just": "jsut", "until": "untill", "a lot": "alot", "that": "taht", "excited": "exicted",
    "something": "somthing", "people": "poeple", "amazing": "amazng", "honestly": "honestley", "have": "ahve",
}  # fmt: skip
_EMOJI = {
    "good": ("😊", "🎉", "😍", "🙌", "✨", "😄", "💪", "❤️", "🥳", "🤩"),
    "bad": ("😢", "😞", "💔", "😩", "🙁", "😬", "🥺"),
    "plain": ("🙂", "😅", "👀", "🤔", "😎", "🙃", "👍"),
}
_WORD = re.compile(r"[A-Za-z][A-Za-z']*")


@dataclass(frozen=True, slots=True)
class Style:
    """A way of writing. All numbers are shares between 0 and 1."""

    name: str
    talkative: float
    """How often something is said around the thing itself: introductions, asides, questions back."""
    exclaim: float = 0.4
    emoji: float = 0.0
    contract: bool = True
    shorthand: float = 0.0
    typos: float = 0.0
    lower: float = 0.0
    """How often a message begins without a capital and `I` is written small."""

    def write(self, text: str, mood: str, rng: Random, keep: frozenset[str] = frozenset()) -> str:
        """Put a text into this style.

        Args:
            text: What to say, without a mark at its end if the style may choose one.
            mood: good, bad or plain.
            rng: Source of chance.
            keep: Words of values, which stay as they are.
        """
        if not self.contract:
            text = _swap(text, _CONTRACTIONS, 1.0, rng, keep)
        if self.shorthand:
            text = _swap(text, _SHORTHAND, self.shorthand, rng, keep)
        if self.typos:
            text = _swap(text, _TYPOS, self.typos, rng, keep)
        if text[-1] not in ".!?…)":
            text += self._mark(mood, rng)
        if self.lower and rng.random() < self.lower:
            text = _lowered(text, keep)
        if rng.random() < self.emoji:
            text += " " + rng.choice(_EMOJI[mood])
        return text

    def _mark(self, mood: str, rng: Random) -> str:
        if mood == "good" and rng.random() < self.exclaim:
            return "!"
        if self.lower and rng.random() < 0.4:
            return rng.choice(("", "...", " lol")) if mood != "bad" else "..."
        return "." if rng.random() > self.exclaim / 4 else "!"


STYLES = (
    Style("plain", talkative=0.8, exclaim=0.5, emoji=0.03),
    Style("terse", talkative=0.4, exclaim=0.15, lower=0.1),
    Style("chatty", talkative=1.0, exclaim=0.8, emoji=0.1),
    Style("formal", talkative=0.8, exclaim=0.15, contract=False),
    Style("texter", talkative=0.7, exclaim=0.5, emoji=0.25, shorthand=0.4, typos=0.06, lower=0.6),
    Style("warm", talkative=0.95, exclaim=0.7, emoji=0.06),
)
"""The ways of writing that speakers are given."""


def _swap(text: str, words: dict[str, str], share: float, rng: Random, keep: frozenset[str]) -> str:
    for old, new in words.items():
        if old in text and not any(part in keep for part in old.split()):
            pieces = re.split(rf"(?<![\w'-]){re.escape(old)}(?![\w'-])", text)
            text = pieces[0] + "".join((new if rng.random() < share else old) + piece for piece in pieces[1:])
    return text


def _lowered(text: str, keep: frozenset[str]) -> str:
    first = _WORD.match(text)
    if first and first[0] not in keep:
        text = text[0].lower() + text[1:]
    return re.sub(r"(?<![\w'-])I(?=[ ']|$)", "i", text)
