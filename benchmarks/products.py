"""Time of a transformer's matrix products by torch's usual library and by quicker ways, for several numbers of rows.

python benchmarks/products.py

`quick` is what prompts and training use (lm/products.py), `packed` what the tokens of an answer use (lm/packed.py).
"""

from __future__ import annotations

import time

import torch

from memory_r1.lm.packed import PackedWeights
from memory_r1.lm.products import quick_products

ROWS = (1, 2, 8, 16, 64, 256, 600, 2400)
LAYERS = 30
"""As many as the bundled model has: the weights of one would stay in the processor's cache."""
REPEAT = 5


def seconds(rows, model):
    """Best time of (rows, 576) through the layers, each to 1,536 and back."""
    states, best = torch.randn(rows, 576), float("inf")
    for _ in range(REPEAT):
        began = time.perf_counter()
        model(states)
        best = min(best, time.perf_counter() - began)
    return best


@torch.inference_mode()
def main():
    torch.set_num_threads(1)
    linears = [torch.nn.Linear(*shape, bias=False) for _ in range(LAYERS) for shape in ((576, 1536), (1536, 576))]
    model = torch.nn.Sequential(*linears)
    model.device = torch.device("cpu")
    packed = PackedWeights(model)
    with packed.used(steps=100):
        pass
    for rows in ROWS:
        usual = seconds(rows, model)
        with quick_products(rows, model.device):
            quick = seconds(rows, model)
        with packed.used():
            laid_out = seconds(rows, model)
        flops, bytes_read = LAYERS * 4 * rows * 576 * 1536 / 1e9, LAYERS * 8 * 576 * 1536 / 1e9
        print(
            f"{rows:5} rows: {flops / usual:4.0f} GFLOP/s, quick {usual / quick:.2f}x, packed {usual / laid_out:.2f}x"
            f" (weights read at {bytes_read / usual:.1f} and {bytes_read / laid_out:.1f} GB/s)"
        )


if __name__ == "__main__":
    main()
