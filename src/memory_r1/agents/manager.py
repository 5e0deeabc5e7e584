"""The Memory Manager: decides for each fact on ADD, UPDATE, DELETE or NOOP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memory_r1.agents.calendar_words import day_text
from memory_r1.agents.caution import Likeness, unless_doubtful, unless_misplaced, unless_misworded
from memory_r1.agents.corrections import puts_right
from memory_r1.agents.details import goes_on_about
from memory_r1.agents.grounding import Sources, overlap
from memory_r1.agents.joining import has_room, put_behind
from memory_r1.agents.parser import Parsed, parse_decision
from memory_r1.agents.policy import policy_name, usage_of
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.renewal import renewed, tells_change, tells_more
from memory_r1.agents.results import Ruling
from memory_r1.agents.text import clean, quote
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord, content_hash
from memory_r1.bank.operation import OperationKind
from memory_r1.lm.base import Completion, LanguageModel, Message, Sampling

if TYPE_CHECKING:
    from memory_r1.retrieval.embedder import Embedder

RULE_POLICY = "rule"
"""The policy named in a ruling that needed no model."""

# characters of a text that a brief prompt shows: its beginning, and the end, where the latest news was put
_LONGEST_BRIEF = 160
_BRIEF_BEGINNING = 100

# below this, a text is made up rather than merged from the memory and the fact
_LEAST_SUPPORT = 0.5


@dataclass(frozen=True, slots=True)
class DecisionPrompt:
    """What the model is asked about one fact."""

    chat: list[Message]
    shown: tuple[int, ...]
    """Indices of the candidates that fit the prompt; each stands there under its index."""
    max_tokens: int
    likeness: tuple[Likeness, ...] = ()
    """Of each candidate; empty where it is not known."""


class MemoryManager:
    """Rules on facts, by rule where the answer is plain, else by a language model.

    Args:
        lm: The model.
        prompts: Its instructions.
        adapter: LoRA adapter that makes it a trained policy; None is the base model.
        policy: Name of the policy in rulings; model and adapter if None.
        brief: Show only the beginning and the end of long texts. A memory shown that way can be added to and retired,
            and is never rewritten, but for a sentence that a fact changes. None: only if there is an adapter, since
            trained policies are small and learn so. Such a policy is also not believed everything; see
            `agents/caution.py`.
        merges: Whether it may word a memory anew; else UPDATE always puts the fact behind the memory. None: unless it
            is the bundled model untrained, which writes the fact and drops what was known.
        embedder: For telling the model how alike a fact and each memory are, which a small one cannot see by itself.
            The shipped policy is used to `minilm`'s figures. None: it is not told.
    """

    def __init__(
        self,
        lm: LanguageModel,
        prompts: Prompts,
        *,
        adapter: str | None = None,
        policy: str | None = None,
        brief: bool | None = None,
        merges: bool | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        from memory_r1.lm.bundled import NAME

        self._lm = lm
        self._merges = (adapter is not None or lm.name != NAME) if merges is None else merges
        self._embedder = embedder
        self._brief = adapter is not None if brief is None else brief
        self._prompt = prompts.manage
        self._adapter = adapter
        self.policy = policy or policy_name(lm, adapter)

    def decide(self, fact: Fact, candidates: Sequence[MemoryRecord]) -> Ruling:
        """Decide on one fact.

        Args:
            fact: The new fact.
            candidates: Memories it may concern, most likely first. The model sees each under its index.

        Returns:
            A ruling that can be carried out on these candidates. What the model wrote and cannot be used becomes ADD,
            with the reason in `rejected`.

        Raises:
            EndpointError: A remote model failed for good.
        """
        return self.decide_many([(fact, candidates)])[0]

    def decide_many(self, problems: Sequence[tuple[Fact, Sequence[MemoryRecord]]]) -> list[Ruling]:
        """Decide on several facts in one batch, each for itself: none sees what another one's ruling will change."""
        rulings = [self.by_rule(fact, candidates) for fact, candidates in problems]
        prompts: dict[int, DecisionPrompt] = {}
        for index, (fact, candidates) in enumerate(problems):
            if rulings[index] is None:
                prompt = self.prompt(fact, candidates)
                if prompt is None:
                    reason = "the fact does not fit the model's context window"
                    rulings[index] = Ruling(OperationKind.ADD, text=fact.text, rejected=reason, policy=RULE_POLICY)
                else:
                    prompts[index] = prompt
        if prompts:
            most = max(prompt.max_tokens for prompt in prompts.values())
            sampling = Sampling(max_tokens=most, json_object=True, logprobs=self._brief)
            completions = self._lm.complete(
                [prompt.chat for prompt in prompts.values()], sampling, adapter=self._adapter
            )
            for (index, prompt), completion in zip(prompts.items(), completions, strict=True):
                rulings[index] = self.read(*problems[index], prompt, completion)
        return [ruling for ruling in rulings if ruling is not None]

    def prompt(self, fact: Fact, candidates: Sequence[MemoryRecord]) -> DecisionPrompt | None:
        """Render the prompt; candidates that do not fit the context window are left out, from the last.

        Returns:
            The prompt, or None if not even the fact alone fits.
        """
        # a merged text is at most about as long as both of its parts: three characters a token is a safe estimate
        longest = max((len(memory.text) for memory in candidates), default=0)
        max_tokens = min(48 + (len(fact.text) + longest) // 3, self._lm.context_length // 2)
        shown = list(range(len(candidates)))
        likeness = self._likeness(fact, candidates)
        while True:
            chat = self._render(fact, candidates, shown, likeness)
            if self._lm.count_tokens(chat) + max_tokens <= self._lm.context_length:
                return DecisionPrompt(chat, tuple(shown), max_tokens, likeness)
            if not shown:
                return None
            # one huge memory must not push out all others
            largest = max(shown, key=lambda index: (len(candidates[index].text) > 2000, index))
            shown.remove(largest)

    def read(
        self, fact: Fact, candidates: Sequence[MemoryRecord], prompt: DecisionPrompt, completion: Completion
    ) -> Ruling:
        """Turn a completion into a ruling: parse it, and check that its text is made of what the model was given."""
        parsed = parse_decision(completion.text, len(candidates), shown=prompt.shown)
        if parsed.kind is OperationKind.UPDATE and parsed.target is not None:
            whole = self._merges and self.shows_whole(candidates[parsed.target].text)
            parsed = parsed if whole else replace(parsed, text=None)
        if self._brief:
            parsed = unless_misworded(parsed, candidates, completion)
        parsed = _unless_unchanged(parsed, candidates)
        if self._brief:
            parsed = unless_doubtful(parsed, fact, candidates, prompt.likeness, completion)
        parsed = _grounded(_unless_known(parsed, fact, candidates), fact, candidates)
        if self._brief:
            parsed = unless_misplaced(self._renewed(parsed, fact, candidates), fact, candidates)
            parsed = _unless_detail(parsed, fact, candidates)
        text = parsed.text if parsed.text is not None else fact.text
        if parsed.kind is OperationKind.UPDATE and parsed.target is not None and parsed.text is None:
            text = put_behind(candidates[parsed.target], fact)
        return Ruling(
            parsed.kind,
            target=parsed.target,
            text=text if parsed.kind in (OperationKind.ADD, OperationKind.UPDATE) else None,
            raw=completion.text,
            rejected=parsed.rejected,
            doubted=parsed.doubted,
            aside=parsed.aside,
            policy=self.policy,
            usage=usage_of(completion),
        )

    def shows_whole(self, text: str) -> bool:
        """Whether the model sees every word of a text of this length."""
        return not self._brief or len(text) <= _LONGEST_BRIEF

    def by_rule(self, fact: Fact, candidates: Sequence[MemoryRecord]) -> Ruling | None:
        """The ruling on a fact that needs no model: nothing to compare it with, or a memory of the same words."""
        if not candidates:
            return Ruling(OperationKind.ADD, text=fact.text, policy=RULE_POLICY)
        known = content_hash(clean(fact.text))
        for index, memory in enumerate(candidates):
            if memory.content_hash == known:
                return Ruling(OperationKind.NOOP, target=index, policy=RULE_POLICY)
        return None

    def _renewed(self, parsed: Parsed, fact: Fact, candidates: Sequence[MemoryRecord]) -> Parsed:
        """An UPDATE without words of its own that changes what the memory says, with the words that it leaves."""
        if parsed.kind is not OperationKind.UPDATE or parsed.target is None or parsed.text is not None:
            return parsed
        memory = candidates[parsed.target]
        if puts_right(fact.text, memory.text):
            return replace(parsed, text=fact.text)
        if tells_more(fact.text) or not (parsed.renews or tells_change(fact.text)):
            return parsed
        return replace(parsed, text=renewed(memory, fact, self._alike, surely=parsed.renews))

    def _alike(self, text: str, others: Sequence[str]) -> Sequence[float]:
        if self._embedder is None:
            return [overlap(text, other) for other in others]
        vectors = self._embedder.embed([text, *others])
        return [float(cosine) for cosine in vectors[1:] @ vectors[0]]

    def _likeness(self, fact: Fact, candidates: Sequence[MemoryRecord]) -> tuple[Likeness, ...]:
        if self._embedder is None or not candidates:
            return ()
        vectors = self._embedder.embed([fact.text, *(memory.text for memory in candidates)])
        said = _without(fact.text, fact.provenance.speaker)
        return tuple(
            Likeness(float(cosine), overlap(said, memory.text))
            for cosine, memory in zip(vectors[1:] @ vectors[0], candidates, strict=True)
        )

    def _render(
        self, fact: Fact, candidates: Sequence[MemoryRecord], shown: Sequence[int], likeness: Sequence[Likeness]
    ) -> list[Message]:
        lines = (f"{index} {quote(self._shown(candidates[index].text))}" for index in shown)
        near = "; ".join(_told(index, likeness[index]) for index in shown) if likeness else ""
        return self._prompt.render(
            memories="\n".join(lines) or "none",
            fact=quote(self._shown(fact.text)),
            likeness=f"\n{near}" if near else "",
            date=day_text(fact.event_time) if fact.event_time else "unknown date",
        )

    def _shown(self, text: str) -> str:
        if self.shows_whole(text):
            return text
        return f"{text[:_BRIEF_BEGINNING].rstrip()} ... {text[_BRIEF_BEGINNING - _LONGEST_BRIEF :].lstrip()}"


def _unless_unchanged(parsed: Parsed, candidates: Sequence[MemoryRecord]) -> Parsed:
    """An UPDATE that leaves the memory's words changes nothing."""
    if parsed.kind is not OperationKind.UPDATE or parsed.target is None or parsed.text is None:
        return parsed
    same = content_hash(parsed.text) == content_hash(clean(candidates[parsed.target].text))
    return Parsed(OperationKind.NOOP, target=parsed.target) if same else parsed


def _unless_detail(parsed: Parsed, fact: Fact, candidates: Sequence[MemoryRecord]) -> Parsed:
    """An ADD of what goes on about a thing that the same speaker's memory brings up belongs behind that memory."""
    if parsed.kind is not OperationKind.ADD or parsed.rejected is not None or parsed.doubted is not None:
        return parsed
    for index, memory in enumerate(candidates):
        own = memory.provenance.speaker == fact.provenance.speaker
        if own and goes_on_about(fact.text, memory.text) and has_room(memory, fact):
            return Parsed(OperationKind.UPDATE, target=index, doubted=f"ADD: memory {index} brings it up")
    return parsed


def _unless_known(parsed: Parsed, fact: Fact, candidates: Sequence[MemoryRecord]) -> Parsed:
    """Putting a fact behind a memory that holds its very words changes nothing."""
    if parsed.kind is not OperationKind.UPDATE or parsed.target is None or parsed.text is not None:
        return parsed
    known = fact.text.strip().rstrip(".").casefold() in candidates[parsed.target].text.casefold()
    return replace(parsed, kind=OperationKind.NOOP) if known else parsed


def _grounded(parsed: Parsed, fact: Fact, candidates: Sequence[MemoryRecord]) -> Parsed:
    """Refuse a text that is made up, or that drops all of the fact or of the memory it replaces."""
    if parsed.text is None:
        return parsed
    given = [fact.text] + ([candidates[parsed.target].text] if parsed.target is not None else [])
    made_up = Sources(given).support(parsed.text).share < _LEAST_SUPPORT
    told = _tells(parsed.text, fact.text, fact.provenance.speaker)
    if parsed.kind is OperationKind.ADD:
        # the operation is sound; only the words are not the fact's
        return Parsed(parsed.kind, text=parsed.text if told and not made_up else None)
    if made_up:
        return Parsed(rejected=f"UPDATE with a made-up text for memory {parsed.target}")
    if not told:
        return Parsed(rejected=f"UPDATE of memory {parsed.target} says nothing of the fact")
    if parsed.target is not None:
        memory = candidates[parsed.target]
        if not _tells(parsed.text, memory.text, memory.provenance.speaker):
            return Parsed(rejected=f"UPDATE of memory {parsed.target} keeps nothing of it")
    return parsed


def _tells(text: str, source: str, speaker: str | None) -> bool:
    """Whether a text holds anything of a source besides the speaker's name."""
    said = _without(source, speaker)
    return overlap(said, text) > 0 or not overlap(said, said)


def _told(index: int, likeness: Likeness) -> str:
    return f"{index}: {max(0, round(100 * likeness.alike))}% alike, {round(100 * likeness.known)}% known"


def _without(text: str, speaker: str | None) -> str:
    return text.replace(speaker, " ") if speaker else text
