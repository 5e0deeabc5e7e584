"""The figures printed in the Memory-R1 paper (Yan et al., arXiv 2508.19828v5), to stand beside ours, never among them.

The paper prints Mem0's category names, which are LoCoMo's permuted: its "Single Hop" column has 239 questions and is
category 1 (multi-hop), its "Multi-Hop" has 83 and is 3 (open-domain), its "Open Domain" has 727 and is 4 (single-hop).
Figures are therefore keyed by LoCoMo's category number, found by n.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

OVERALL = 0
"""Stands for all answerable questions where a category number is asked for."""


class Printed(NamedTuple):
    """F1, BLEU-1 and LLM-as-a-Judge, in percent."""

    f1: float
    bleu1: float
    judge: float


LOCOMO_N: Mapping[int, int] = MappingProxyType({OVERALL: 1307, 1: 239, 2: 258, 3: 83, 4: 727})
"""Questions in the paper's test part, by category number."""

PRINTED_NAMES: Mapping[int, str] = MappingProxyType({1: "Single Hop", 2: "Temporal", 3: "Multi-Hop", 4: "Open Domain"})
"""What the paper calls each category."""

_COLUMNS = (1, 3, 4, 2, OVERALL)

_TABLE_1 = {
    "LLaMA-3.1-8B-Instruct": """
    LoCoMo RAG     | 12.25/9.77/13.81  | 13.69/10.96/20.48 | 11.59/8.30/15.96  | 9.38/8.15/4.65    | 11.41/8.71/13.62
    Zep            | 30.15/17.15/52.38 | 15.04/11.56/33.33 | 26.67/18.44/45.36 | 3.49/2.68/27.58   | 22.60/15.05/42.80
    A-Mem          | 21.62/16.93/44.76 | 13.82/11.45/34.93 | 34.67/29.13/49.38 | 25.77/22.14/36.43 | 29.20/24.40/44.76
    Mem0           | 27.29/18.63/43.93 | 18.59/13.86/37.35 | 34.03/24.77/52.27 | 26.90/21.06/31.40 | 30.41/22.22/45.68
    MemoryOS       | 31.89/23.05/52.72 | 13.80/12.78/31.33 | 40.74/33.67/57.36 | 28.74/21.44/23.64 | 35.04/27.99/48.20
    Memory-SFT     | 34.64/23.73/56.90 | 20.80/16.26/37.35 | 46.47/37.35/63.27 | 47.18/34.58/54.65 | 42.81/32.98/58.76
    Memory-R1-PPO  | 32.52/24.47/53.56 | 26.86/23.47/42.17 | 45.30/39.18/64.10 | 41.57/26.11/47.67 | 41.05/32.91/57.54
    Memory-R1-GRPO | 35.73/27.70/59.83 | 35.65/30.77/53.01 | 47.42/41.24/68.78 | 49.86/38.27/51.55 | 45.02/37.51/62.74
    """,
    "Qwen-2.5-7B-Instruct": """
    LoCoMo RAG     | 9.57/7.00/15.06   | 11.84/10.02/19.28 | 8.67/6.52/12.79   | 8.35/8.74/5.43    | 8.97/7.27/12.17
    Zep            | 31.02/21.39/42.85 | 20.42/15.76/23.81 | 25.25/21.34/42.26 | 8.94/8.42/29.31   | 23.22/18.78/38.99
    A-Mem          | 18.96/12.86/40.78 | 14.73/12.66/31.32 | 30.58/26.14/46.90 | 23.67/20.67/28.68 | 26.08/21.78/40.78
    Mem0           | 24.96/18.05/61.92 | 20.31/15.82/48.19 | 32.74/25.27/65.20 | 33.16/26.28/38.76 | 30.61/23.55/53.30
    MemoryOS       | 29.55/22.59/48.12 | 21.03/18.41/38.55 | 40.85/36.26/63.14 | 26.26/19.70/24.81 | 34.64/29.36/51.26
    Memory-SFT     | 27.81/20.25/57.74 | 24.62/22.28/46.99 | 43.33/34.06/66.85 | 44.41/34.32/52.71 | 39.51/30.84/61.13
    Memory-R1-PPO  | 34.22/23.61/57.74 | 32.87/29.48/53.01 | 44.78/38.72/66.99 | 42.88/30.30/42.25 | 41.72/33.70/59.53
    Memory-R1-GRPO | 33.64/26.06/62.34 | 23.55/20.71/40.96 | 46.86/40.92/67.81 | 47.75/38.49/49.61 | 43.14/36.44/61.51
    """,
}

NOTES: tuple[str, ...] = (
    "The paper's models are 8B and 7B; compare a row of ours with a row of ours.",
    "F1 and BLEU-1 there follow Mem0's harness, as ours do by default. Its judge model is not named, and J of "
    "different judges cannot be compared.",
    "Zep's row fits no whole number of questions, so it was measured on other questions. With Qwen, Mem0's overall J "
    "is printed as 53.30, but its categories add up to 58.30. A-Mem's overall J (44.76 and 40.78) repeats its "
    "category 1; its categories add up to 45.06 and 41.19.",
)
"""What a reader must know of the printed figures (the sums are recomputed from the printed categories)."""


def _read(text: str) -> Mapping[str, Mapping[int, Printed]]:
    rows = {}
    for line in text.strip().splitlines():
        method, *cells = (part.strip() for part in line.split("|"))
        rows[method] = MappingProxyType(
            {number: Printed(*map(float, cell.split("/"))) for number, cell in zip(_COLUMNS, cells, strict=True)}
        )
    return MappingProxyType(rows)


LOCOMO: Mapping[str, Mapping[str, Mapping[int, Printed]]] = MappingProxyType(
    {model: _read(text) for model, text in _TABLE_1.items()}
)
"""Table 1: by backbone, method and category number."""
