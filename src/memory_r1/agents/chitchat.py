"""Tells turns with nothing to remember from turns with content, by rule, before any model is asked.

The rules err on one side: a greeting that slips through costs a model call, a dropped statement would be lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from memory_r1.agents.text import content_words, sentences, words

# a sentence made of nothing but these words says nothing
_PLEASANTRIES = """
absolutely agree agreed ah aha ahead alright amazing appreciate aw aww awesome awww bad bet big bravo brilliant bye
catch chat cheers congrats congratulations cool cute day dear definitely enjoy evening exactly excellent fab fabulous
fantastic fine fun glad gonna good goodbye goodnight gosh great ha haha hahaha happy hear heck heh hehe hello hey hi
hiya hmm hmmm hooray hugs impressive incredible indeed inspiring interesting keep kind later lol love lovely luck man
marvelous mean means morning neat nice night oh ok okay omg oops ooh perfect please pleasure pretty proud right sec see
seeing seriously shame sorry sounds stunning stuff super superb sure sweet take talk tell terrific thank thanks thx true
tough totally truly ty understand understood up welcome wonderful wow wowza x xo xoxo xx yay yea yeah yep yes yo yup yw
"""
_FILLERS = """
a all always and are as at be been being but care come do everything everyone everybody for from going got gotta guys
hang have how in is it it's just know let's like looking forward lot lots made much nah no nope not now of on out really
same should so some something soon such that that's the there there's these they thing things this those to too very was
way what will wish wishes wishing best with would you you'd you'll you're you've your yours again both
"""
_OPENING = "oh aw aww wow yeah yep yes no ok okay ah haha lol thanks sure well hey and so but"
_OPENERS = frozenset(_OPENING.split())
_NOTHING = frozenset((_PLEASANTRIES + _FILLERS).split())
# words by which a first-person sentence only reacts to what the other said
_REACTION_STEMS = frozenset(
    content_words(_PLEASANTRIES + " excited thrilled hope hoping guess wish support supporting words touched honored")
)
_FIRST_PERSON = re.compile(
    r"\b(?:i|i['’]?m|i['’]?ve|i['’]ll|i['’]d|my|mine|me|myself|we|we['’]\w+|our|ours|us)\b", re.I
)
# the only first-person sentences that say nothing: anything else about oneself is content
_EMPTY_FIRST_PERSON = re.compile(
    r"i (?:\w+ly )?(?:agree|know|see|understand|bet|hope so|think so|guess so|know right|hear you|get it|feel you)"
    r"|i (?:\w+ly )?(?:agree with|feel|get|hear) (?:you|that|it)|i (?:\w+ly )?appreciate (?:it|that|you|you all|this)"
    r"|i can (?:imagine|see that|tell)|i(?:'m| am) (?:good|fine|ok|okay|all ears|in|so excited|here for you)"
    r"|i(?:'m| am) (?:so |really |very |super )?(?:glad|happy|proud|excited|thrilled|sorry)(?: (?:of|for|with) you"
    r"| to (?:hear|see) (?:that|it|this|you))?"
    r"|(?:i'd|i would) love to(?: (?:hear|see|know)(?: it| that)?(?: more)?(?: about (?:it|that))?)?"
    r"|(?:please )?(?:let me know|tell me(?: (?:more|all|everything))?(?: about (?:it|that))?)|me too|same with me"
)
_INTERROGATIVE = re.compile(
    r"^(?:(?:so|and|but|or|ok|okay|well|hey|oh|wow|cool|nice|great|yeah|also|by the way|btw)\b[,!\s]*)*"
    r"(?:what|what['’]s|whats|who|who['’]s|whom|whose|where|where['’]s|when|when['’]s|why|which|how|how['’]s|any|"
    r"anything|do|does|did|is|are|was|were|have|has|can|could|would|will|got|what kinda|ready)\b",
    re.IGNORECASE,
)
# questions that tell something: "did you know that ...", "guess what", "is it true that ..."
_TELLING = re.compile(
    r"\b(?:know|hear|heard|tell|told|remember|true|guess|aware|realize|realise|see) (?:that|how)?\b", re.I
)
# a name behind a greeting or thanks
_ADDRESSED = re.compile(
    r"\b(?:[Hh]i|[Hh]ey|[Hh]ello|[Tt]hanks|[Tt]hank you|[Ww]ow|[Bb]ye|[Yy]eah|[Oo]h),? ([A-Z][a-z]+)\b"
)
_DIGIT = re.compile(r"\d")


def is_chitchat(text: str, names: Iterable[str] = ()) -> bool:
    """Whether a turn holds nothing to remember: greetings, thanks, bare reactions, pure questions.

    Args:
        text: What was said.
        names: Names of the speakers; addressing one by name is not content.

    Example:
        >>> is_chitchat("Wow, that's great, Ann! What's new?", names=["Ann"])
        True
        >>> is_chitchat("Great, I got the job!")
        False
    """
    known = frozenset(word for name in names for word in _name_words(name))
    return not any(_is_content(sentence, known) for sentence in sentences(text))


def states_something(text: str, names: Iterable[str] = ()) -> bool:
    """Whether a turn surely holds something to remember, so that "nothing" is a wrong reading of it.

    True for a first-person statement with a word beyond reactions ("I'm vegan"), and for a sentence with a number.

    Example:
        >>> states_something("I'm so proud of you!"), states_something("I moved to Rome.")
        (False, True)
    """
    known = frozenset(word for name in names for word in _name_words(name))
    for sentence in sentences(text):
        if not _is_content(sentence, known):
            continue
        if _DIGIT.search(sentence):
            return True
        beyond = [stem for stem in content_words(sentence) if stem not in _REACTION_STEMS and stem not in known]
        if beyond and _FIRST_PERSON.search(sentence):
            return True
    return False


def _name_words(name: str) -> list[str]:
    # a short form counts as the name: Mel for Melanie
    return [word[:length] for word in words(name) for length in range(3, len(word) + 1)] or words(name)


def _is_content(sentence: str, names: frozenset[str]) -> bool:
    said = words(sentence)
    if _FIRST_PERSON.search(sentence):
        core = [word for word in said if word not in names]
        while core and core[0] in _OPENERS:
            core.pop(0)
        return bool(core) and _EMPTY_FIRST_PERSON.fullmatch(" ".join(core)) is None
    addressed = {name.casefold() for name in _ADDRESSED.findall(sentence)}
    if all(word in _NOTHING or word in names or word in addressed for word in said):
        return False
    return not _is_pure_question(sentence)


def _is_pure_question(sentence: str) -> bool:
    return (
        sentence.rstrip("\"'”’) ").endswith("?")
        and _INTERROGATIVE.match(sentence) is not None
        and not _DIGIT.search(sentence)
        and not _TELLING.search(sentence)
    )


def without_chitchat(text: str, names: Iterable[str] = ()) -> str:
    """The sentences of a text that may hold something; all of it if none does.

    Example:
        >>> without_chitchat("Thanks! I moved to Rome. And you?")
        'I moved to Rome.'
    """
    known = frozenset(word for name in names for word in _name_words(name))
    return " ".join(sentence for sentence in sentences(text) if _is_content(sentence, known)) or text
