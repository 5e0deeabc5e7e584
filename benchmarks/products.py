"""Time of a transformer's matrix products by torch's usual library and by the quicker one, for several numbers of rows.

python benchmarks/products.py
"""

from __future__ import annotations

import time

import torch

from memory_r1.lm.products import quick_products

ROWS = (64, 256, 600, 2400)
REPEAT = 30


def seconds(rows, up, down):
    """Best time of (rows, 576) through a layer of 1,536 and back."""
    states, best = torch.randn(rows, 576), float("inf")
    for _ in range(REPEAT):
        began = time.perf_counter()
        down(up(states))
        best = min(best, time.perf_counter() - began)
    return best


@torch.inference_mode()
def main():
    torch.set_num_threads(1)
    up, down = torch.nn.Linear(576, 1536, bias=False), torch.nn.Linear(1536, 576, bias=False)
    for rows in ROWS:
        usual = seconds(rows, up, down)
        with quick_products(rows, torch.device("cpu")):
            quick = seconds(rows, up, down)
        flops = 4 * rows * 576 * 1536 / 1e9
        print(f"{rows:5} rows: {flops / usual:4.0f} -> {flops / quick:4.0f} GFLOP/s, {usual / quick:.2f}x")


if __name__ == "__main__":
    main()
