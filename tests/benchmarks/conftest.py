"""The benchmarks are not installed; their folder is found from here."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks" / "layer" / "adapters")]
