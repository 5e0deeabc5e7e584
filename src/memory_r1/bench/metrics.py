"""How close an answer is to the gold answer: token F1, BLEU-1 and exact match.

Published scores differ by several points on the same answers because each harness defines its own F1. Each definition
is here under its own name; the reports lead with Mem0's, which the Memory-R1 paper builds on:

- **Mem0**: lower case, each of `. , ! ?` becomes a space, split; F1 on *sets* of tokens; BLEU-1 as NLTK computes it.
- **SQuAD**: lower case, punctuation and articles dropped; F1 on *bags* of tokens.
- **MemoryOS**: lower case, runs of letters, digits and underscores; F1 on sets.
- **MemOS**: lower case, NLTK's `word_tokenize`, punctuation kept as tokens; F1 on sets.

LoCoMo's own definition, with stems and a rule for each category, is in `locomo_official`. `scores.score_all` computes
them all. All scores lie between 0 and 1. See docs/metrics.md.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from typing import NamedTuple

_MEM0_SPACES = str.maketrans(dict.fromkeys(".,!?", " "))
_SQUAD_DROPPED = str.maketrans(dict.fromkeys(string.punctuation))
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_WORDS = re.compile(r"\w+")
_ABBREVIATIONS = frozenset({"dr", "mr", "mrs", "ms", "prof", "st", "vs", "jr", "sr", "etc"})
_SENTENCE_PERIOD = re.compile(r"""(?<!\S)(?P<word>\S*[^\s.])\.(?P<close>[\])}>"'»”’]*)(?P<gap>\s+|$)""")
_INITIALS = re.compile(r"(?:[^\W\d]\.)*[^\W\d]")
_OPENING_QUOTE = re.compile(r"""^"|(?<=[ (\[{<])"|^''|(?<=[ (\[{<])''""")
_ALONE = re.compile(r"""\.{2,}|--|''|`+|[:,](?!\d)|[;@#$%&?!*()\[\]{}<>«»“”‘’„‒–—―]""")
_OPENING_APOSTROPHE = re.compile(r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)")
_CLITIC = re.compile(r"(?<=[^' ])('ll|'re|'ve|n't|'s|'m|'d|')(?= )")
_MERGED = re.compile(r"\b(?:can(?=not\b)|(?:gim|lem)(?=me\b)|(?:gon|wan)(?=na\b)|got(?=ta\b))")


class Scores(NamedTuple):
    """One answer's scores by Mem0's definitions."""

    f1: float
    bleu1: float
    em: float


def score(prediction: str, gold: str) -> Scores:
    """Score an answer as Mem0's harness does.

    Example:
        >>> score("Paris.", "paris")
        Scores(f1=1.0, bleu1=0.5, em=0.0)
    """
    return Scores(token_f1(prediction, gold), bleu1(prediction, gold), exact_match(prediction, gold))


def mem0_tokens(text: str) -> list[str]:
    """Split a text as Mem0's harness does: no stemming, articles and other punctuation kept.

    Example:
        >>> mem0_tokens("The dog's name? Rex!")
        ['the', "dog's", 'name', 'rex']
    """
    return text.lower().translate(_MEM0_SPACES).split()


def token_f1(prediction: str, gold: str) -> float:
    """F1 of the two token sets (Mem0); 0 if either is empty.

    Example:
        >>> token_f1("Buddy and Scout", "Buddy, Scout")
        0.8
    """
    return _set_f1(mem0_tokens(prediction), mem0_tokens(gold))


def exact_match(prediction: str, gold: str) -> float:
    """1 if the texts are equal but for case and surrounding white space (Mem0), else 0; 0 if either is empty.

    Example:
        >>> exact_match(" Leeds", "leeds"), exact_match("Leeds.", "Leeds")
        (1.0, 0.0)
    """
    prediction, gold = prediction.strip().lower(), gold.strip().lower()
    return float(bool(gold) and prediction == gold)


def bleu1(prediction: str, gold: str) -> float:
    """Clipped unigram precision times the brevity penalty, as `nltk.sentence_bleu` with weights (1, 0, 0, 0).

    NLTK's smoothing method 1, which Mem0's harness asks for, never touches a unigram score: NLTK returns 0 before it
    when no unigram matches. Tokens follow NLTK's `word_tokenize` (see `treebank_tokens`).

    Example:
        >>> bleu1("the cat", "the cat sat down") == math.exp(1 - 4 / 2)
        True
    """
    predicted, reference = treebank_tokens(prediction.lower()), treebank_tokens(gold.lower())
    if not predicted or not reference:
        return 0.0
    matches = (Counter(predicted) & Counter(reference)).total()
    brevity = min(1.0, math.exp(1 - len(reference) / len(predicted)))
    return brevity * matches / len(predicted)


def squad_tokens(text: str) -> list[str]:
    """Split a text as SQuAD's evaluation does: lower case, punctuation and articles dropped.

    Example:
        >>> squad_tokens("The dog's name: Rex!")
        ['dogs', 'name', 'rex']
    """
    return _ARTICLES.sub(" ", text.lower().translate(_SQUAD_DROPPED)).split()


def squad_f1(prediction: str, gold: str) -> float:
    """F1 of the two token bags (SQuAD); if either is empty, 1 if both are, else 0.

    Example:
        >>> squad_f1("The big big dog", "a big dog")
        0.8
    """
    predicted, reference = Counter(squad_tokens(prediction)), Counter(squad_tokens(gold))
    if not predicted or not reference:
        return float(predicted == reference)
    return overlap_f1(predicted, reference)


def squad_exact_match(prediction: str, gold: str) -> float:
    """1 if the normalised texts are equal (SQuAD), else 0.

    Example:
        >>> squad_exact_match("The Leeds.", "Leeds")
        1.0
    """
    return float(squad_tokens(prediction) == squad_tokens(gold))


def memoryos_f1(prediction: str, gold: str) -> float:
    """F1 of the two sets of words, runs of letters, digits and underscores (MemoryOS); 0 if either is empty.

    Example:
        >>> memoryos_f1("Anne's dogs: two", "Anne's two dogs"), token_f1("Anne's dogs: two", "Anne's two dogs")
        (1.0, 0.6666666666666666)
    """
    return _set_f1(_WORDS.findall(prediction.lower()), _WORDS.findall(gold.lower()))


def memos_f1(prediction: str, gold: str) -> float:
    """F1 of the two sets of `word_tokenize` tokens, punctuation included (MemOS); 0 if either is empty.

    Example:
        >>> memos_f1("Leeds.", "Leeds")
        0.6666666666666666
    """
    return _set_f1(treebank_tokens(prediction.lower()), treebank_tokens(gold.lower()))


def overlap_f1(predicted: Counter[str], reference: Counter[str]) -> float:
    """F1 of two bags of tokens; 0 if they share none.

    Example:
        >>> overlap_f1(Counter("aab"), Counter("ab"))
        0.8
    """
    common = (predicted & reference).total()
    if not common:
        return 0.0
    precision, recall = common / predicted.total(), common / reference.total()
    return 2 * precision * recall / (precision + recall)


def _set_f1(predicted: list[str], reference: list[str]) -> float:
    return overlap_f1(Counter(set(predicted)), Counter(set(reference)))


def treebank_tokens(text: str) -> list[str]:
    """Split a lower-cased text as NLTK's `word_tokenize` does, without NLTK.

    Punctuation and clitics come off (`don't` is `do n't`); a period comes off only where a sentence ends. NLTK finds
    those ends with a trained model, this function by the space behind the period and a short list of abbreviations;
    on one-sentence answers the two agree.

    Example:
        >>> treebank_tokens("she isn't in st. ives, it's 3.5 miles off.")
        ['she', 'is', "n't", 'in', 'st.', 'ives', ',', 'it', "'s", '3.5', 'miles', 'off', '.']
    """
    text = _SENTENCE_PERIOD.sub(_split_period, _OPENING_QUOTE.sub(" `` ", text.strip()))
    text = _ALONE.sub(r" \g<0> ", text.replace('"', " '' "))
    text = _OPENING_APOSTROPHE.sub("' ", f" {text} ")
    return _MERGED.sub(r"\g<0> ", _CLITIC.sub(r" \1", text)).split()


def _split_period(match: re.Match[str]) -> str:
    word = match["word"].lstrip("(\"'")
    if match["gap"] and (word in _ABBREVIATIONS or _INITIALS.fullmatch(word)):
        return match[0]
    return f"{match['word']} . {match['close']} "
