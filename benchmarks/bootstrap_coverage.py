"""How often a 95 % interval of a mean over questions holds the true mean, by number of conversations.

Simulated scores: 163 questions a conversation on average (LoCoMo's test part), each score a conversation's own level
plus noise; `icc` is the share of the variance that lies between conversations. Three intervals of the same data:
questions resampled as if they were independent; conversations resampled, plain percentiles; what memory-r1 reports.

    python benchmarks/bootstrap_coverage.py
"""

from __future__ import annotations

import argparse

import numpy as np

from memory_r1.bench.statistics import Scored, mean_interval

TRUTH = 0.4
SPREAD = 0.4


def simulate(generator: np.random.Generator, conversations: int, icc: float) -> list[np.ndarray]:
    levels = TRUTH + generator.normal(0, SPREAD * np.sqrt(icc), conversations)
    sizes = generator.integers(123, 204, conversations)
    noise = SPREAD * np.sqrt(1 - icc)
    return [level + generator.normal(0, noise, size) for level, size in zip(levels, sizes, strict=True)]


def plain(scores: list[np.ndarray], generator: np.random.Generator, resamples: int) -> tuple[float, float]:
    sums, sizes = np.array([one.sum() for one in scores]), np.array([len(one) for one in scores])
    picked = generator.integers(0, len(scores), (resamples, len(scores)))
    low, high = np.quantile(sums[picked].sum(1) / sizes[picked].sum(1), [0.025, 0.975])
    return low, high


def independent(scores: list[np.ndarray]) -> tuple[float, float]:
    # what a bootstrap of questions comes to with a thousand of them, at no cost
    together = np.concatenate(scores)
    half = 1.96 * together.std(ddof=1) / np.sqrt(len(together))
    return together.mean() - half, together.mean() + half


def coverage(conversations: int, icc: float, runs: int, resamples: int) -> list[float]:
    generator = np.random.default_rng(0)
    hits = np.zeros(3)
    for _ in range(runs):
        scores = simulate(generator, conversations, icc)
        ours = mean_interval(
            [Scored(f"c{c:03}", f"q{q}", value) for c, one in enumerate(scores) for q, value in enumerate(one)],
            resamples=resamples,
        )
        ends = [independent(scores), plain(scores, generator, resamples), (ours.low, ours.high)]
        hits += [low <= TRUTH <= high for low, high in ends]
    return list(hits / runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=2000)
    given = parser.parse_args()
    print("| conversations | icc | questions resampled | conversations, plain | memory-r1 |\n|---|---|---|---|---|")
    for conversations in (4, 6, 8, 10):
        for icc in (0.0, 0.01, 0.05):
            shares = coverage(conversations, icc, given.runs, given.resamples)
            found = " | ".join(f"{100 * share:.1f}" for share in shares)
            print(f"| {conversations} | {icc} | {found} |", flush=True)


if __name__ == "__main__":
    main()
