"""Puts a trained adapter into the package, in half precision, with its card.

    python tools/ship_policy.py runs/reader/adapter answerer --scores scores.md

`--scores` names a Markdown file with what was measured beyond the run's own held-out score; it goes into the card.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from memory_r1.lm.adapters import CONFIG_FILE, WEIGHTS_FILE, check_folder
from memory_r1.policies import AGENTS
from memory_r1.rl.saving import whole_folder

PACKAGE = Path(__file__).parents[1] / "src" / "memory_r1" / "policies"
LARGEST = 25 * 10**6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", type=Path, help="a run's adapter folder")
    parser.add_argument("agent", choices=AGENTS)
    parser.add_argument("--scores", type=Path, help="Markdown for the card")
    chosen = parser.parse_args()
    source = check_folder(chosen.agent, chosen.adapter)
    with whole_folder(PACKAGE / chosen.agent) as folder:
        weights = {name: value.to(torch.float16) for name, value in load_file(source / WEIGHTS_FILE).items()}
        if not all(torch.isfinite(value).all() for value in weights.values()):
            raise SystemExit("A weight does not fit into half precision.")
        save_file(weights, folder / WEIGHTS_FILE, metadata={"format": "pt"})
        config = json.loads((source / CONFIG_FILE).read_text(encoding="utf-8"))
        (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        card = (source / "README.md").read_text(encoding="utf-8").rstrip()
        scores = chosen.scores.read_text(encoding="utf-8").strip() if chosen.scores else ""
        (folder / "README.md").write_text(f"{card}\n\n{scores}".rstrip() + "\n", encoding="utf-8")
    size = sum(file.stat().st_size for file in PACKAGE.rglob("*.safetensors"))
    print(f"{chosen.agent}: {size / 1e6:.1f} MB for all policies in the package")
    if size > LARGEST:
        raise SystemExit(f"That is more than {LARGEST / 1e6:.0f} MB.")


if __name__ == "__main__":
    main()
