"""How fast is the language model, and what does prefix reuse save?

    python benchmarks/lm_speed.py [--model bundled] [--dtype float32] [--threads 2]

Prints prompt tokens a second (prefill) and new tokens a second (decode) for one chat and for a batch, next to
transformers' own `generate` on the same model, and then a row of short calls with and without prefix reuse.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from memory_r1.lm.base import Sampling
from memory_r1.lm.bundled import BundledLM
from memory_r1.lm.factory import make_lm

FILLER = (
    "Ann moved to Lisbon in May and works as a nurse at the children's hospital near the river. "
    "Her brother Bob repairs old radios, keeps two cats and plays chess by post with a friend in Oslo. "
)
RULES = "You keep a list of facts about people. " + "Compare the new fact with the known ones and decide. " * 24
ROUNDS = 3


def median_seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def chat(text: str, rules: str | None = None) -> list[dict[str, str]]:
    system = [{"role": "system", "content": rules}] if rules else []
    return [*system, {"role": "user", "content": text}]


def prompts(count: int, length: int, fresh: int) -> list[list[dict[str, str]]]:
    """Chats that share nothing past the template's own words; `fresh` makes them new to any cache."""
    return [chat(f"{fresh}.{index} {FILLER * length}") for index in range(count)]


class Ours:
    def __init__(self, lm: object) -> None:
        self.lm = lm
        self.fresh = 0
        lm._load().generator._eos = frozenset()  # every answer takes as long as it may, as on the other side

    def run(self, count: int, length: int, new: int) -> int:
        """Answer `count` unseen chats with `new` tokens each; the prompt tokens that it took."""
        self.fresh += 1
        done = self.lm.complete(prompts(count, length, self.fresh), Sampling(max_tokens=new))
        return sum(answer.prompt_tokens - answer.cached_tokens for answer in done)


class Theirs:
    """transformers' generate, left-padded, on the same weights."""

    def __init__(self, lm: object) -> None:
        import torch

        loaded = lm._load()
        self.torch, self.model, self.lm, self.fresh = torch, loaded.model, lm, 0

    def run(self, count: int, length: int, new: int) -> int:
        self.fresh += 1
        rows = [self.lm.tokenizer.encode(one)[0] for one in prompts(count, length, self.fresh)]
        width = max(map(len, rows))
        ids = self.torch.tensor([[2] * (width - len(row)) + list(row) for row in rows])
        mask = self.torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        with self.torch.inference_mode():
            self.model.generate(
                ids.to(self.model.device),
                attention_mask=mask.to(self.model.device),
                max_new_tokens=new,
                min_new_tokens=new,
                do_sample=False,
            )
        return sum(map(len, rows))


def speed_table(sides: dict[str, object]) -> Table:
    table = Table(title="tokens per second (median of 3; prompts of about 300 tokens, 32 new tokens)")
    for column in ("", "prefill x1", "prefill x16", "decode x1", "decode x16"):
        table.add_column(column, justify="left" if not column else "right")
    for name, side in sides.items():
        side.run(1, 1, 2)
        row = {}
        for count in (1, 16):
            counted = []
            first = median_seconds(
                lambda side=side, count=count, counted=counted: counted.append(side.run(count, 6, 1))
            )
            whole = median_seconds(lambda side=side, count=count: side.run(count, 6, 33))
            row[count] = (statistics.median(counted) / first, count * 32 / (whole - first))
        table.add_row(name, *(f"{row[count][index]:,.0f}" for index in (0, 1) for count in (1, 16)))
    return table


def reuse_table(make: Callable[..., object]) -> Table:
    table = Table(title="12 calls with the same instructions, 40 new words and 16 new tokens each")
    for column in ("prefix reuse", "prompt tokens", "computed", "seconds a call"):
        table.add_column(column, justify="right")
    for label, prefix_bytes in (("off", 0), ("on", 256 * 2**20)):
        lm = make(prefix_bytes=prefix_bytes)
        lm.complete([chat("warm up")], Sampling(max_tokens=1))
        answers, times = [], []
        for index in range(12):
            started = time.perf_counter()
            answers += lm.complete([chat(f"{index}: {FILLER}", RULES)], Sampling(max_tokens=16))
            times.append(time.perf_counter() - started)
        asked = sum(answer.prompt_tokens for answer in answers)
        computed = asked - sum(answer.cached_tokens for answer in answers)
        table.add_row(label, f"{asked:,}", f"{computed:,}", f"{statistics.median(times):.2f}")
        lm.close()
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()

    def make(**more: object) -> BundledLM:
        return make_lm(options.model, dtype=options.dtype, threads=options.threads, **more)

    console = Console()
    lm = make(batch_tokens=16_384)
    console.print(speed_table({"memory-r1": Ours(lm), "generate": Theirs(lm)}))
    lm.close()
    console.print(reuse_table(make))


if __name__ == "__main__":
    main()
