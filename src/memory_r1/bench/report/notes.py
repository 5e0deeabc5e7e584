"""What a reader has to know to read the numbers rightly, said from what is in the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memory_r1.bench.report.means import F1, Means
from memory_r1.bench.report.paper import LOCOMO_N, NOTES, OVERALL
from memory_r1.bench.report.run import MOST_ERRORS, Run
from memory_r1.bench.scores import METRICS
from memory_r1.data.locomo import CATEGORIES


def warnings(run: Run) -> tuple[str, ...]:
    """What makes the run's numbers unfit to be quoted."""
    said = [
        f"Failed: {one.name} raised on {len(one.errors):,} of {len(one.predictions):,} questions "
        f"({100 * len(one.errors) / len(one.predictions):.1f} %, more than {100 * MOST_ERRORS:.0f} %). "
        "Its scores leave those questions out; do not quote them."
        for one in run.systems
        if one.failed
    ]
    total = max(len(run.questions), run.asked)
    said += [
        f"Not finished: {one.name} was asked {len(one.predictions):,} of {total:,} questions."
        for one in run.systems
        if len(one.predictions) < total
    ]
    said += [f"Not finished: {name} has answered nothing yet." for name in run.waiting]
    if run.data.get("published") is False:
        said.append(
            f"The data is not the published {run.data_name}: the SHA-256 of its file is another. "
            "Its scores cannot be compared with others."
        )
    if run.is_locomo:
        strange = {one.category for one in run.questions.values()} - set(CATEGORIES.values())
        said += [f"LoCoMo has no category {name!r}; its questions have rows of their own." for name in sorted(strange)]
    return tuple(said)


def labels_told(run: Run) -> str | None:
    """By whose labels the answers are scored; None if by the data set's own."""
    if run.labels is None:
        return None
    replaced, cited, left_out = (int(run.labels.get(name, 0)) for name in ("replaced", "cited", "left_out"))
    return (
        f"corrected by {run.labels.get('name')}: {replaced:,} gold answers are new, {cited:,} questions have other "
        f"evidence, {left_out:,} are left out"
    )


def judges_told(run: Run) -> str | None:
    """Who judged, and what it took; None if nobody did."""
    judges = run.config.get("judges")
    if not isinstance(judges, Mapping) or not judges:
        return None
    return "; ".join(
        f"{METRICS.get(metric, metric)} by {one['model']} ({one['answers']:,} answers, {one['calls']:,} calls, "
        f"{one['prompt_tokens'] + one['completion_tokens']:,} tokens, {one['from_cache']:,} verdicts from a cache)"
        for metric, one in judges.items()
    )


def limits(means: Means) -> tuple[str, ...]:
    """How far the numbers reach."""
    run = means.run
    answerable = sum(one.gold is not None for one in run.questions.values())
    conversations = len({conversation for conversation, _ in run.questions})
    lines = [
        f"n: {answerable:,} answerable and {len(run.questions) - answerable:,} unanswerable questions of "
        f"{conversations:,} conversations{_of_all(run)}."
    ]
    limited = run.config.get("limits")
    if isinstance(limited, Mapping) and any(value is not None for value in limited.values()):
        named = ", ".join(
            f"{name.replace('_', ' ')} {_said(value)}" for name, value in limited.items() if value is not None
        )
        lines.append(f"Limits, the same for every system: {named}.")
    lines.append(_intervals(means, conversations))
    if len(run.systems) > 1:
        lines.append(
            "The best system is chosen on the same questions it is compared on, so its lead over the others is a "
            "little flattered."
        )
    lines += _judge(means)
    if empty := [f"{one.name} {len(one.empty):,}" for one in run.systems if one.empty]:
        lines.append(f"Empty answers, scored as they are: {', '.join(empty)}.")
    if run.labels is not None:
        lines.append(
            "Scored by labels that an audit corrected, on fewer questions: such a score stands beside the usual one, "
            "not in its place. The audit was made by a language model and looked through by people."
        )
    elif run.is_locomo:
        lines.append(
            "By a public audit (dial481/locomo-audit), 6.4 % of LoCoMo's gold answers are wrong or cannot be answered: "
            "no system can honestly reach 100."
        )
    return tuple(lines)


def _intervals(means: Means, conversations: int) -> str:
    said = "Intervals: 95 %, by bootstrap over whole conversations, widened for their small number."
    found = [value for system in means.run.systems if (value := means.mean(system, F1)) is not None]
    if conversations == 1:
        return (
            "Intervals: 95 %, by bootstrap over questions, as they are all about one conversation: they say nothing of "
            "other conversations."
        )
    if any(one.rough for one in found):
        said += f" {conversations} conversations are too few for them to hold what they promise."
    return said


def _of_all(run: Run) -> str:
    sample, sessions = run.data.get("sample"), run.data.get("sessions")
    said = f"; only the first {sessions} sessions of each, and what they have evidence for" if sessions else ""
    if isinstance(sample, Mapping):
        seed = f" with seed {sample['seed']}" if "seed" in sample else ""
        said += f"; a sample, drawn by {sample.get('by', 'chance')}{seed} from {int(sample.get('of', 0)):,} questions"
    return said


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _judge(means: Means) -> list[str]:
    if not means.judges:
        return ["No judge: this run had no judge endpoint, so J is missing. It is not zero."]
    said = [
        "J is the share of answers that a language model judged right. The generous prompt is the field's usual one; "
        "an audit found that it accepts 63 % of vague wrong answers. J of different judges cannot be compared."
    ]
    for metric in means.judges:
        open_ = [
            f"{system.name} {len(missing):,} of {len(answered):,}"
            for system in means.run.systems
            if (answered := [one for one in system.predictions.values() if one.error is None and one.gold is not None])
            and (missing := [one for one in answered if metric.key not in one.scores])
        ]
        if open_:
            said.append(f"{metric.name} leaves out answers that were not judged: {', '.join(open_)}.")
    return said


def paper_notes(run: Run) -> tuple[str, ...]:
    """How our rows and the paper's figures go together."""
    counts = {
        number: sum(one.category == CATEGORIES[number] and one.gold is not None for one in run.questions.values())
        for number in LOCOMO_N
        if number != OVERALL
    }
    same = all(counts[number] == LOCOMO_N[number] for number in counts)
    ours = ", ".join(f"{number}: {counts[number]:,} of {LOCOMO_N[number]:,}" for number in counts)
    if run.labels is not None:
        first = f"Scored by corrected labels ({ours}): these rows cannot be compared with the paper's."
        return first, *_MATCHED, *NOTES
    first = (
        "The questions are the paper's: n is the same in every category."
        if same
        else f"This run has a part of the paper's questions ({ours}): its rows cannot be compared with the paper's."
    )
    return first, *_MATCHED, *NOTES


_MATCHED = (
    "Matched by n, not by name: the paper prints category 1 as Single Hop, 3 as Multi-Hop and 4 as Open Domain.",
)
