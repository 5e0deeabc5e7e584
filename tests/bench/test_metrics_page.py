"""The worked example of docs/metrics.md is what the code computes."""

from pathlib import Path

import pytest

from memory_r1.bench.scores import METRICS, score_all

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def table():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| category | answer | gold |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_columns_are_the_metrics_in_order(table):
    keys = score_all("", "a", "b")
    assert table[0][3:] == [METRICS[key] for key in keys]


def test_every_cell_is_what_the_code_computes(table):
    *rows, means = table[2:]
    assert len(rows) == 9
    scores = [list(score_all(category, answer, gold).values()) for category, answer, gold, *_ in rows]
    assert [row[3:] for row in rows] == [[f"{100 * value:.1f}" for value in values] for values in scores]
    assert means[3:] == [f"**{100 * sum(column) / len(rows):.1f}**" for column in zip(*scores, strict=True)]


def test_every_metric_is_named(table):
    page = PAGE.read_text(encoding="utf-8")
    assert [key for key in METRICS if f"`{key}`" not in page] == []
