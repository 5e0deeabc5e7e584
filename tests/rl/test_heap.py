"""A process that keeps freed memory has it at hand for the next large tensor."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys, torch
from memory_r1.rl.heap import keep_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

if sys.argv[1] == "kept":
    assert keep_freed_memory()
before = resident()
torch.ones(25_000_000)
print((resident() - before) / 1e8)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's mallopt")
def test_a_freed_tensor_stays_with_the_process():
    left = {
        how: float(subprocess.run([sys.executable, "-c", SCRIPT, how], check=True, capture_output=True).stdout)
        for how in ("kept", "returned")
    }
    assert left["kept"] > 0.9
    assert left["returned"] < 0.5
