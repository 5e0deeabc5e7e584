"""Print how varied generated conversations are: `python -m memory_r1.data.synthetic.stats --n 200`.

Where `MEMORY_R1_DATA` names a folder with LoCoMo, the same figures of its training and validation conversations stand
beside them (its test conversations are not looked at while the generator is being written).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from memory_r1.data.locomo import load_locomo
from memory_r1.data.synthetic.generate import generate
from memory_r1.data.synthetic.measure import Measures, measure
from memory_r1.data.synthetic.vocabulary import SPLITS

LOCOMO = ("conv-26", "conv-30")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m memory_r1.data.synthetic.stats", description=__doc__)
    parser.add_argument("--n", type=int, default=50, help="how many conversations (default 50)")
    parser.add_argument("--sessions", type=int, default=8, help="sessions of each (default 8)")
    parser.add_argument("--speakers", type=int, default=2, help="speakers of each (default 2)")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first one (default 0)")
    chosen = parser.parse_args(arguments)
    made = [
        generate(chosen.seed + place, sessions=chosen.sessions, speakers=chosen.speakers, split=chosen.split)
        for place in range(chosen.n)
    ]
    columns = {f"synthetic {chosen.split}": measure(made)}
    folder = os.environ.get("MEMORY_R1_DATA")
    if folder and (Path(folder) / "locomo").is_dir():
        columns["LoCoMo " + "+".join(LOCOMO)] = measure([load_locomo(folder, name)[0] for name in LOCOMO])
    sys.stdout.write(table(columns))
    return 0


def table(columns: dict[str, Measures]) -> str:
    """The measures side by side, as a Markdown table."""
    rows = {name: dict(_rows(measures)) for name, measures in columns.items()}
    labels = list(dict.fromkeys(label for cells in rows.values() for label in cells))
    lines = [["", *rows], ["---", *("---:" for _ in rows)]]
    lines += [[label, *(cells.get(label, "") for cells in rows.values())] for label in labels]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows(one: Measures) -> list[tuple[str, str]]:
    rows = [
        ("conversations", str(one.conversations)),
        ("sessions a conversation", f"{one.sessions:.1f}"),
        ("turns a session", f"{one.turns:.1f}"),
        ("words a turn", f"{one.words:.1f}"),
        ("vocabulary", str(one.vocabulary)),
        ("type-token ratio, 1,000 words", f"{one.type_token:.3f}"),
        *((f"distinct-{n}, 15,000 words", f"{share:.3f}") for n, share in one.distinct.items()),
        ("turns said before, word for word", f"{one.repeated_turns:.1%}"),
        ("turns with a picture", f"{one.captions:.1%}"),
    ]
    if one.operations:
        rows += [("facts a turn", f"{one.facts_a_turn:.2f}")]
        rows += [(f"operation {kind}", f"{share:.1%}") for kind, share in sorted(one.operations.items())]
        rows += [("memories at the end", f"{one.memories:.1f}"), ("words a memory", f"{one.memory_words:.1f}")]
    total = sum(one.questions.values())
    rows += [(f"questions {name}", f"{count / total:.1%}") for name, count in sorted(one.questions.items())]
    rows += [("words a gold answer", f"{one.answer_words:.1f}")]
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
