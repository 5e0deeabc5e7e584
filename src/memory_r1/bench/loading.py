"""What a benchmark asks: conversations and questions by name, cut to what was asked for."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from memory_r1.bench.audit import Labels, relabel
from memory_r1.data.conversation import Conversation
from memory_r1.data.download import data_state, is_published
from memory_r1.data.locomo import find_locomo, load_locomo
from memory_r1.data.longmemeval import find_longmemeval
from memory_r1.data.msc import find_msc
from memory_r1.data.published import data_folder, find_data_set
from memory_r1.data.splits import answerable, split_locomo
from memory_r1.errors import ConfigError, InvalidInputError
from memory_r1.rl.training_data import Part, TrainingData, open_data

PARTS: tuple[Part, ...] = ("train", "validation", "test", "all")
"""Parts that a data set may have."""

_FINDERS = {"locomo": find_locomo, "longmemeval": find_longmemeval, "msc": find_msc}
_KINDS = tuple(_FINDERS)


@dataclass(frozen=True, slots=True)
class Sample:
    """A part of the questions, chosen by chance."""

    limit: int
    seed: int
    of: int
    """Questions there were."""
    categories: dict[str, tuple[int, int]]
    """Questions kept, and questions there were, by category."""


@dataclass(frozen=True, slots=True)
class BenchData:
    """What is asked."""

    name: str
    """The data set, e.g. `locomo`."""
    part: str
    conversations: tuple[Conversation, ...]
    sample: Sample | None = None
    """None: all questions."""
    labels: Labels | None = None
    """None: the data set's own."""
    published: bool | None = None
    """Whether the file has the published hash; None where nothing is published under that name."""
    sessions: int | None = None
    """Only so many sessions of each conversation are read, the first ones; None: all."""

    @property
    def digest(self) -> str:
        """SHA-256 of the conversations and the questions that are asked."""
        return TrainingData(self.name, self.conversations).digest

    @property
    def questions(self) -> int:
        """How many are asked."""
        return sum(len(one.questions) for one in self.conversations)

    def told(self) -> dict[str, Any]:
        """What `config.json` says of it."""
        sample = self.sample
        return {
            "name": self.name,
            "part": self.part,
            "hash": self.digest,
            "conversations": len(self.conversations),
            "questions": self.questions,
            "sessions": self.sessions,
            "sample": None
            if sample is None
            else {
                "limit": sample.limit,
                "seed": sample.seed,
                "of": sample.of,
                "by": "category",
                "categories": {name: list(counts) for name, counts in sample.categories.items()},
            },
            "labels": None if self.labels is None else asdict(self.labels),
            "published": self.published,
        }


def open_benchmark(
    data: str,
    *,
    part: str | None = None,
    adversarial: bool = False,
    conversations: Sequence[str] = (),
    sessions: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    audit: str | Path | None = None,
) -> BenchData:
    """Open a data set to be asked.

    Args:
        data: A name that `open_data` knows; or `locomo`, `longmemeval` or `msc` alone, which `memory-r1 data download`
            has fetched.
        part: `test` by default, where there is one (LoCoMo: the paper's eight conversations); else all.
        adversarial: Ask LoCoMo's category 5 too, which its conversations do not answer.
        conversations: Ids; none: all of the part.
        sessions: Read only so many sessions of each conversation, and ask what they hold the evidence for.
        limit: Ask only so many questions, drawn from each category in proportion.
        seed: Of the draw.
        audit: `errors.json` of LoCoMo's audit, or a folder that holds it: score by its labels; see `bench.audit`. What
            it leaves out is taken from what was drawn, so that one draw asks the same questions under both labels.

    Raises:
        ConfigError: There is no such data, part or conversation, a number is below 1, or an audit is given for other
            data.
        InvalidInputError: The data or the audit cannot be read, the downloaded data is damaged, or nothing is left to
            ask.
    """
    kind, path = _kind_and_path(data)
    chosen = _part(kind, part)
    if adversarial and kind != "locomo":
        raise ConfigError(f"--adversarial is for LoCoMo, and the data is {data}.", hint="Leave it out.")
    if audit is not None and kind != "locomo":
        raise ConfigError(f"--audit is for LoCoMo, and the data is {data}.", hint="Leave it out.")
    found = _load(kind, path, data, chosen, adversarial)
    if conversations:
        known = {one.id: one for one in found}
        if unknown := [name for name in conversations if name not in known]:
            some = ", ".join(list(known)[:12])
            raise ConfigError(f"{data} ({chosen}) has no conversation {unknown[0]!r}.", hint=f"It has: {some}.")
        found = [known[name] for name in dict.fromkeys(conversations)]
    name = kind if kind in _KINDS else data.rpartition("/")[2]
    if sessions is not None:
        found = [beginning(one, sessions) for one in found]
    asked = tuple(one for one in found if one.questions)
    kept = BenchData(name, chosen, asked, published=_published(kind, path), sessions=sessions)
    if kept.conversations and limit is not None:
        kept = draw(kept, limit, seed)
    if kept.conversations and audit is not None:
        kept = by_audit(kept, audit)
    if not kept.conversations:
        raise InvalidInputError(f"{data} ({chosen}) has no question.", hint="Choose another part or conversation.")
    return kept


def beginning(conversation: Conversation, sessions: int) -> Conversation:
    """The first sessions of a conversation, and the questions whose evidence lies in them.

    Raises:
        ConfigError: That is not a positive number.
    """
    if sessions < 1:
        raise ConfigError(f"--sessions {sessions} reads nothing.", hint="Give at least 1.")
    first = conversation.sessions[:sessions]
    if first == conversation.sessions:
        return conversation
    told = {turn.id for session in first for turn in session.turns}
    asked = tuple(one for one in conversation.questions if one.evidence and told.issuperset(one.evidence))
    return replace(conversation, sessions=first, questions=asked)


def by_audit(data: BenchData, audit: str | Path) -> BenchData:
    """The same questions under the labels of LoCoMo's audit, less those that it leaves without an answer.

    Raises:
        InvalidInputError: As `bench.audit.relabel`.
    """
    conversations, labels = relabel(data.conversations, audit)
    return replace(data, conversations=tuple(one for one in conversations if one.questions), labels=labels)


def draw(data: BenchData, limit: int, seed: int) -> BenchData:
    """Keep some of the questions, drawn from each category in proportion to its size.

    Raises:
        ConfigError: The limit is below 1.
    """
    if limit < 1:
        raise ConfigError(f"--limit {limit} asks nothing.", hint="Give at least 1.")
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for one in data.conversations:
        for question in one.questions:
            groups[question.category].append(question.id)
    total = data.questions
    if limit >= total:
        return data
    quotas = _quotas({name: len(ids) for name, ids in groups.items()}, limit)
    kept: set[str] = set()
    for name, ids in groups.items():
        kept.update(random.Random(f"{seed}/{name}").sample(ids, quotas[name]))
    chosen = tuple(
        replace(one, questions=tuple(question for question in one.questions if question.id in kept))
        for one in data.conversations
    )
    counts = {name: (quotas[name], len(ids)) for name, ids in groups.items()}
    return replace(
        data,
        conversations=tuple(one for one in chosen if one.questions),
        sample=Sample(limit, seed, total, counts),
    )


def _quotas(sizes: dict[str, int], limit: int) -> dict[str, int]:
    """Shares that add up to the limit, by largest remainders; equal remainders go by name."""
    total = sum(sizes.values())
    shares = {name: size * limit / total for name, size in sizes.items()}
    quotas = {name: int(share) for name, share in shares.items()}
    order = sorted(sizes, key=lambda name: (quotas[name] - shares[name], name))
    for name in order[: limit - sum(quotas.values())]:
        quotas[name] += 1
    return quotas


def _kind_and_path(data: str) -> tuple[str, str]:
    kind, colon, path = data.partition(":")
    if kind in _KINDS:
        return kind, path if colon else _downloaded(kind)
    return ("synthetic", "") if kind.partition("@")[0] == "synthetic" else ("file", data)


def _downloaded(kind: str) -> str:
    folder = data_folder()
    again = f"Run `memory-r1 data download {kind}`, or write {kind}:PATH."
    state, file = data_state(find_data_set(kind), folder)
    if state == "missing":
        raise InvalidInputError(f"{kind} is not in {folder}.", hint=again)
    if state == "damaged":
        raise InvalidInputError(f"{file} is damaged: its SHA-256 is not that of the published {kind}.", hint=again)
    return str(file)


def _published(kind: str, path: str) -> bool | None:
    return is_published(find_data_set(kind), _FINDERS[kind](path)) if kind in _FINDERS else None


def _part(kind: str, part: str | None) -> Part:
    if part is None:
        return "test" if kind in ("locomo", "longmemeval", "synthetic") else "all"
    if part not in PARTS:
        raise ConfigError(f"There is no part {part!r}.", hint=f"Parts are: {', '.join(PARTS)}.")
    return next(one for one in PARTS if one == part)


def _load(kind: str, path: str, data: str, part: Part, adversarial: bool) -> list[Conversation]:
    if kind not in _KINDS:
        return list(open_data(data, part).conversations)
    if kind == "locomo" and adversarial and part != "all":
        split = split_locomo(load_locomo(Path(path)), adversarial=True)
        return list({"train": split.train, "validation": split.validation, "test": split.test}[part])
    found = open_data(f"{kind}:{path}", part).conversations
    if kind == "locomo" and not adversarial:
        return [answerable(one) for one in found]
    return list(found)
