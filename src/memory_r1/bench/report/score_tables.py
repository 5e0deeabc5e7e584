"""The tables that say how good the answers are."""

from __future__ import annotations

from memory_r1.bench.report.categories import Category, categories_of
from memory_r1.bench.report.document import Cell, Column, Table, count_cell, gap_cell, score_cell
from memory_r1.bench.report.means import (
    ABSTENTION,
    BLEU1,
    DEFINITIONS,
    F1,
    HEADLINE,
    J_GENEROUS,
    Means,
    Metric,
    mean_of,
)
from memory_r1.bench.report.paper import LOCOMO, LOCOMO_N, OVERALL, PRINTED_NAMES, Printed
from memory_r1.bench.report.run import SystemRun
from memory_r1.bench.scores import abstains

NO_JUDGE = "no judge"


def name_cell(system: SystemRun) -> Cell:
    """A system's name, marked if it failed."""
    return Cell(system.name, "failed" if system.failed else "", warning=system.failed)


def headline(means: Means) -> Table:
    """Every system over all answerable questions."""
    return _measured(means, None, "All questions that the conversation answers")


def by_category(means: Means, category: Category) -> Table:
    """Every system over one category."""
    count = sum(one.gold is not None and one.category == category.key for one in means.run.questions.values())
    return _measured(means, category, f"{category.label}, n = {count:,}")


def _measured(means: Means, category: Category | None, title: str) -> Table:
    judges = means.judges or (J_GENEROUS,)
    metrics = (*HEADLINE, *judges)
    best = {metric: means.best(metric, category) for metric in metrics}
    rows = []
    for system in means.run.systems:
        asked = [
            one
            for one in system.predictions.values()
            if one.gold is not None and (category is None or one.category == category.key)
        ]
        lost = sum(one.error is not None for one in asked)
        number = Cell(f"{len(asked) - lost:,}", f"+{lost} errors" if lost else "", order=len(asked) - lost)
        cells = [
            score_cell(means.mean(system, metric, category), strong=system is best[metric])
            if metric in HEADLINE or means.judges
            else Cell(NO_JUDGE)
            for metric in metrics
        ]
        rows.append((name_cell(system), number, *cells))
    columns = (Column("system", number=False), Column("n"), *(Column(metric.short) for metric in metrics))
    return Table(title, columns, tuple(rows))


def printed(number: int) -> Table:
    """The paper's figures for one LoCoMo category, or `OVERALL`."""
    models = tuple(LOCOMO)
    name = f'its "{PRINTED_NAMES[number]}"' if number != OVERALL else "overall"
    columns = (
        Column("method", number=False),
        *(Column(name, group=_short(model)) for model in models for name in ("F1", "BLEU-1", "J")),
    )
    rows = tuple(
        (Cell(method), *(cell for model in models for cell in _printed_cells(LOCOMO[model][method][number])))
        for method in LOCOMO[models[0]]
    )
    return Table(
        f"Memory-R1 paper, {name}, n = {LOCOMO_N[number]:,}",
        columns,
        rows,
        notes=("As printed there, for other models; not measured here.",),
        foreign=True,
    )


def _short(model: str) -> str:
    return model.removesuffix("-Instruct")


def _printed_cells(figures: Printed) -> list[Cell]:
    return [Cell(f"{figure:.2f}", order=figure) for figure in figures]


def definitions(means: Means) -> Table:
    """The same answers under every definition."""
    present = [one for one in DEFINITIONS if any(means.mean(system, one) for system in means.run.systems)]
    rows = tuple(
        (name_cell(system), *(score_cell(means.mean(system, metric)) for metric in present))
        for system in means.run.systems
    )
    return Table(
        "The same answers under each harness's definition",
        (Column("system", number=False), *(Column(metric.name) for metric in present)),
        rows,
        notes=(
            "F1 by Mem0: sets of words, of punctuation only . , ! ? removed. By LoCoMo's own code: bags of stemmed "
            "words, articles and punctuation removed, category 1 scored part by part. By SQuAD: bags of words, "
            "articles and punctuation removed. By MemoryOS and MemOS: sets of words, each cut in its own way. On the "
            "same answers they differ by up to 6 points, so name the one you quote.",
        ),
    )


def differences(means: Means, reference: SystemRun, title: str) -> Table:
    """Every other system minus one, paired by question."""
    metrics: tuple[Metric, ...] = (F1, BLEU1, *means.judges)
    columns = [Column("system", number=False), Column("n")]
    for metric in metrics:
        columns += [Column("points", group=metric.short), Column("relative", group=metric.short)]
    columns += [Column("higher", group="questions, by F1"), Column("lower", group="questions, by F1")]
    rows = []
    for system in means.run.systems:
        if system is reference:
            continue
        cells = []
        for metric in metrics:
            found = means.difference(system, reference, metric)
            cells += [gap_cell(found.gap if found else None), gap_cell(found.relative if found else None, unit=" %")]
        first = means.difference(system, reference, F1)
        cells += [count_cell(first.better if first else None), count_cell(first.worse if first else None)]
        rows.append((name_cell(system), count_cell(first.gap.n if first else 0), *cells))
    return Table(title, tuple(columns), tuple(rows))


def abstention(means: Means) -> Table | None:
    """How often a system says that the conversation does not tell: when it should, and when it should not.

    None if every question is answered by its conversation.
    """
    run = means.run
    kinds = categories_of(run, answerable=False)
    if not kinds:
        return None
    several = len(kinds) > 1
    columns = [Column("system", number=False), Column("n")]
    columns += [Column(kind.label) for kind in kinds] + ([Column("all")] if several else [])
    columns.append(Column("wrongly abstained"))
    best = means.best(ABSTENTION)
    rows = []
    for system in run.systems:
        all_of_them = means.mean(system, ABSTENTION)
        cells = [
            score_cell(means.mean(system, ABSTENTION, kind), strong=not several and system is best) for kind in kinds
        ]
        if several:
            cells.append(score_cell(all_of_them, strong=system is best))
        wrongly = mean_of(
            system, lambda one: None if one.gold is None else float(one.abstained or abstains(one.answer))
        )
        rows.append((name_cell(system), count_cell(all_of_them.n if all_of_them else 0), *cells, score_cell(wrongly)))
    return Table(
        "Questions that the conversation does not answer",
        tuple(columns),
        tuple(rows),
        notes=(
            "n counts the unanswerable questions. The last column is the share of answerable questions on which the "
            "system abstained: a system that never answers would score 100 in both.",
        ),
    )
