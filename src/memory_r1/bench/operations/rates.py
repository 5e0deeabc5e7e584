"""What the operations benchmark counts. Every rate is a mean of zeros and ones over what its docstring names.

All are taken after the last fact of a session: over the facts, rulings and memories up to there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Literal

from memory_r1.bank.operation import OperationKind
from memory_r1.bench.operations.story import Story
from memory_r1.bench.operations.stream import Held, Standing, Stream, Tellers
from memory_r1.bench.statistics import Scored
from memory_r1.rl.operation_report import KINDS, OperationReport

Cause = Literal["never stored", "deleted", "written over"]

CAUSES: tuple[Cause, ...] = ("never stored", "deleted", "written over")
"""Why a fact is lost: no memory ever took it in; the last one that did was retired; it is there without the fact."""

Samples = dict[str, list[Scored]]
"""Single values by the name of a rate."""


def accuracy_samples(conversation: str, report: OperationReport) -> Samples:
    """`accuracy` and `accuracy/KIND`: rulings on the gold bank that are right, of those where gold has this kind.

    Right is the right kind and, for UPDATE and DELETE, the right memory, in whatever words. What could not be used is
    never right. Facts on which the product asks no model (the bank is empty, or holds the very words) are left out.

    Args:
        conversation: Its id.
        report: Of its rulings.
    """
    found: Samples = defaultdict(list)
    for kind in KINDS:
        score = report.by_kind[kind]
        for number in range(score.count):
            one = Scored(conversation, f"{kind}/{number}", float(number < score.right))
            found["accuracy"].append(one)
            found[f"accuracy/{kind}"].append(one)
    return found


def stream_samples(stream: Stream, place: int) -> Samples:
    """All rates of a manager on the bank that its own rulings left, up to the fact at a place.

    - `mix/KIND`: facts on which it ruled so; an operation that could not be used counts as the ADD it became.
    - `unusable`: facts on which what it wrote could not be used.
    - `wrong_delete`: of its DELETEs, those of a memory that alone told a fact which gold keeps.
    - `shown`: of the facts that change or retire a memory by gold, where the bank has a memory with facts of it: those
      for which one was among the candidates. What is missing here is the retriever's, not the manager's.
    - `lost`, `duplicate`, `stale`, `beside`, `retired_kept`: see `lost`, `duplicates`, `outdated`, `retired_kept`.
    - `mixed`: of the memories, those with facts that gold keeps in different ones. One that holds everything loses
      nothing, and is of use to nobody.
    - `entries`, `characters`: a value a conversation, not a rate: the bank's size. `.../gold` and `.../added`: it over
      that of the gold bank, and of a bank to which every fact is added.

    Args:
        stream: The manager's way through a conversation.
        place: One of the stream's stops that it has passed.
    """
    story, standing = stream.story, stream.standings[place]
    tellers = Tellers(story, standing.memories, place)
    found: Samples = defaultdict(list)

    def note(rate: str, what: str, value: bool | float) -> None:
        found[rate].append(Scored(story.id, what, float(value)))

    for one in stream.decided[: place + 1]:
        for kind in KINDS:
            note(f"mix/{kind}", one.fact, one.ruled is kind)
        note("unusable", one.fact, one.rejected)
        if one.ruled is OperationKind.DELETE:
            note("wrong_delete", one.fact, one.wrong_delete)
        if one.shown is not None:
            note("shown", one.fact, one.shown)
    for fact, cause in lost(story, standing, tellers):
        note("lost", fact, cause is not None)
    for fact, twice in duplicates(story, tellers, place):
        note("duplicate", fact, twice)
    for fact, verdict in outdated(story, tellers, place):
        note("stale", fact, verdict == "stale")
        note("beside", fact, verdict == "beside")
    for fact, kept in retired_kept(story, tellers, place):
        note("retired_kept", fact, kept)
    for number, memory in enumerate(standing.memories):
        note("mixed", str(number), len({story.lives[fact].memory for fact in memory.facts}) > 1)
    for rate, value in _sizes(story, standing):
        note(rate, "bank", value)
    return found


def causes(stream: Stream, place: int) -> Counter[Cause]:
    """How often which cause lost a fact; see `lost`."""
    standing = stream.standings[place]
    tellers = Tellers(stream.story, standing.memories, place)
    return Counter(cause for _, cause in lost(stream.story, standing, tellers) if cause is not None)


def lost(story: Story, standing: Standing, tellers: Tellers) -> Iterator[tuple[str, Cause | None]]:
    """The facts that the gold bank tells, each with why no memory tells it any more; None if one does.

    The gold bank tells a fact that it added or put into a memory as long as that memory is live and holds a value or
    the sentence that came with the fact. A memory tells a fact if the fact went into it and its text has the fact's
    words, or at least half of those that only this fact says and gold still says; so does one into which only a
    repetition of the fact went, if it has those words.
    """
    for fact, life in story.lives.items():
        if life.stands(standing.place):
            cause: Cause | None = None
            if not tellers.of(fact):
                taken = bool(tellers.taken_by(fact))
                cause = "written over" if taken else "deleted" if fact in standing.kept else "never stored"
            yield fact, cause


def duplicates(story: Story, tellers: Tellers, place: int) -> Iterator[tuple[str, bool]]:
    """The facts that the gold bank tells and any memory does, each with whether more than one memory does.

    A second memory tells a fact if the fact went into it as well, or if it holds a repetition of a part of it that has
    not been replaced since.
    """
    for fact, life in story.lives.items():
        if life.stands(place):
            count = len(tellers.partly(fact))
            if count:
                yield fact, count > 1


def outdated(
    story: Story, tellers: Tellers, place: int
) -> Iterator[tuple[str, Literal["stale", "beside", "replaced"]]]:
    """The gold UPDATEs that gave a value another one, in memories that are still live, each with what became of it.

    `stale`: a memory still tells the old value (as a fact that went into it, or as a repetition of one) and does not
    tell the new one, nor any that came after: whoever is shown it answers with the old one. `beside`: no memory is like
    that, but one that tells the new value tells the old one as well. `replaced`: the old value is nowhere, or only
    where the gold memory has it, too (as in `before that it was ...`).
    """
    for change, life in story.lives.items():
        before = _replaced_by(story, change, place)
        if not before or story.gold_text(life.memory, place) is None:
            continue
        verdicts = {
            "beside" if marked else "stale"
            for fact, newer in before
            for memory in tellers.taken_by(fact)
            for marked in (_tells_any(tellers, memory, newer),)
            # in a memory that tells the new value, the old one may stand as history
            if story.still_says(memory.text, fact, place, history=not marked)
        }
        yield change, "stale" if "stale" in verdicts else "beside" if verdicts else "replaced"


def retired_kept(story: Story, tellers: Tellers, place: int) -> Iterator[tuple[str, bool]]:
    """The gold DELETEs, each with whether a memory still tells a fact of what was retired and not that it is over."""
    for end, life in story.lives.items():
        if life.kind is not OperationKind.DELETE or life.place > place:
            continue
        earlier = [one.fact.id for one in story.of_memory[life.memory] if one.place < life.place]
        holders = [
            memory
            for fact in earlier
            for memory in tellers.taken_by(fact)
            if story.still_says(memory.text, fact, place, history=True)
        ]
        yield (
            end,
            any(not (end in one.facts and story.still_says(one.text, end, place, history=True)) for one in holders),
        )


def _replaced_by(story: Story, change: str, place: int) -> list[tuple[str, tuple[str, ...]]]:
    """The facts of whose values a fact is the first to change one, each with all that changed that value so far."""
    life = story.lives[change]
    if life.place > place:
        return []
    return [
        (one.fact.id, tuple(name for name in chain if story.lives[name].place <= place))
        for one in story.of_memory[life.memory]
        for chain in one.replaced
        if chain[0] == change
    ]


def _tells_any(tellers: Tellers, memory: Held, facts: tuple[str, ...]) -> bool:
    return any(fact in memory.facts and tellers.tells(memory, fact) for fact in facts)


def _sizes(story: Story, standing: Standing) -> Iterator[tuple[str, float]]:
    banks: Mapping[str, list[str]] = {
        "": [memory.text for memory in standing.memories],
        "/gold": [entry.text for entry in story.gold_bank(standing.place)],
        "/added": story.added_texts(standing.place),
    }
    entries = {name: len(texts) for name, texts in banks.items()}
    characters = {name: sum(map(len, texts)) for name, texts in banks.items()}
    for what, sizes in (("entries", entries), ("characters", characters)):
        yield what, sizes[""]
        for name in ("/gold", "/added"):
            # a conversation may retire all that it told
            if sizes[name]:
                yield f"{what}{name}", sizes[""] / sizes[name]
