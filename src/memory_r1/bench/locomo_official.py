"""LoCoMo's own F1, as `task_eval/evaluation.py` of github.com/snap-research/locomo computes it.

Lower case, commas and other ASCII punctuation dropped, `a an the and` dropped, each token stemmed (Porter, NLTK's
variant), F1 on *bags* of tokens. On top of that the category decides:

| category | rule |
|---|---|
| 1 multi-hop | both texts are split at commas; for each gold part the best F1 of any predicted part; their mean |
| 2 temporal, 4 single-hop | F1 of the whole texts |
| 3 open-domain | F1 against the gold text before its first `;` |
| 5 adversarial | 1 if the answer holds `no information available` or `not mentioned`, else 0 |

All scores lie between 0 and 1.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from functools import cache, lru_cache
from typing import Any

from memory_r1.bench.metrics import overlap_f1

ABSTENTIONS = ("no information available", "not mentioned")
"""An answer that holds one of these, in any case, abstains (category 5)."""

_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation))
_DROPPED_WORDS = re.compile(r"\b(?:a|an|the|and)\b")


def locomo_f1(prediction: str, gold: str, category: str = "") -> float:
    """F1 by the rule of a question's category; 0 if either text has no token left.

    Args:
        prediction: What the system answered.
        gold: The gold answer.
        category: A name of `memory_r1.data.locomo.CATEGORIES`. `multi-hop` and `open-domain` have rules of their own;
            any other, those of other data sets too, is scored as one whole answer. Questions without a gold answer
            (category 5) are for `abstains`.

    Example:
        >>> locomo_f1("dogs, hiking", "Hiking, a dog", "multi-hop"), locomo_f1("dogs, hiking", "Hiking, a dog")
        (1.0, 1.0)
        >>> locomo_f1("Likely yes", "Likely yes; she loves books", "open-domain")
        1.0
    """
    if category == "multi-hop":
        answers = [part.strip() for part in prediction.split(",")]
        parts = [part.strip() for part in gold.split(",")]
        return sum(max(_f1(answer, part) for answer in answers) for part in parts) / len(parts)
    if category == "open-domain":
        gold = gold.split(";")[0].strip()
    return _f1(prediction, gold)


def abstains(answer: str) -> bool:
    """Whether an answer says, by LoCoMo's two phrases, that the conversation does not tell.

    Example:
        >>> abstains("That is not mentioned."), abstains("I don't know")
        (True, False)
    """
    lowered = answer.lower()
    return any(phrase in lowered for phrase in ABSTENTIONS)


def locomo_tokens(text: str) -> list[str]:
    """Split a text as LoCoMo's evaluation does: punctuation and `a an the and` dropped, stemmed.

    Example:
        >>> locomo_tokens("Hiking, and the dog's running")
        ['hike', 'dog', 'run']
    """
    words = _DROPPED_WORDS.sub(" ", text.lower().translate(_PUNCTUATION)).split()
    return [_stem(word) for word in words]


def _f1(prediction: str, gold: str) -> float:
    return overlap_f1(Counter(locomo_tokens(prediction)), Counter(locomo_tokens(gold)))


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    return str(_stemmer().stem(word))


@cache
def _stemmer() -> Any:
    # NLTK takes seconds to import
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()
