"""Makes the pictures of the documentation from a real run of the demo.

Run it from the repository's root: `python docs/make_pictures.py`. It takes a minute or two.
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

from rich.console import Console

from memory_r1 import Memory
from memory_r1.cli.demo_view import View
from memory_r1.cli.fetch import make_model
from memory_r1.config import load_settings
from memory_r1.demo.run import run_demo
from memory_r1.demo.source import load_conversation, shorten

WIDTH = 100
FOLDER = Path(__file__).parent / "images"


def operation_log(file: Path, sessions: int, model: str | None) -> None:
    """Save what `memory-r1 demo` prints while it reads."""
    console = Console(record=True, width=WIDTH, force_terminal=True, file=io.StringIO(), highlight=False, emoji=False)
    conversation = shorten(load_conversation(), sessions, questions=0)
    settings = load_settings(model=model)
    view = View(console, live=False)
    lm = make_model(settings)
    with Memory(model=lm, store=":memory:") as memory:
        view.introduce(conversation, lm.name, "memory.db")
        run_demo(memory, conversation, view, user_id=conversation.id, model_name=lm.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    svg = console.export_svg(title="memory-r1 demo", unique_id="memory-r1")
    # rich links to web fonts; a picture should load nothing from elsewhere
    file.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")


def main() -> None:
    """Read the command line and make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=2, help="how many sessions of the shipped conversation")
    parser.add_argument("--model", default=None, help="as for `memory-r1 demo`")
    arguments = parser.parse_args()
    operation_log(FOLDER / "operation-log.svg", arguments.sessions, arguments.model)


if __name__ == "__main__":
    main()
