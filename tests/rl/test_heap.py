"""A process that keeps freed memory has no pages cleared again for the same large tensor."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from memory_r1.rl.heap import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's mallopt")
def test_the_same_tensor_again_faults_no_pages():
    faults = {
        how: int(subprocess.run([sys.executable, "-c", SCRIPT, how], check=True, capture_output=True).stdout)
        for how in ("kept", "returned")
    }
    assert faults["kept"] * 4 < faults["returned"]
