"""MemGPT's core memory: two blocks of limited size that the model edits."""

from __future__ import annotations

from collections.abc import Iterator

from memory_r1.bench.baselines.entries import Entry, sources

BLOCK_CHARACTERS = 2000
"""Most characters of a block (MemGPT's CORE_MEMORY_HUMAN_CHAR_LIMIT)."""


class Core:
    """The blocks `persona` and `human`, line by line, so that each line keeps its sources.

    Args:
        persona: Whom the first block is about.
        human: Whom the second block is about.

    Example:
        >>> core = Core("Eve", "Tom")
        >>> core.append("human", Entry("Tom is a nurse."))
        >>> core.replace("human", "a nurse", Entry("a doctor"))
        >>> print(core)
        [persona: Eve]
        [human: Tom]
        Tom is a doctor.
    """

    def __init__(self, persona: str, human: str) -> None:
        self._names = {"persona": persona, "human": human}
        self._lines: dict[str, list[Entry]] = {"persona": [], "human": []}

    def __iter__(self) -> Iterator[Entry]:
        for lines in self._lines.values():
            yield from lines

    def __str__(self) -> str:
        return "\n".join(
            "\n".join([f"[{block}: {self._names[block]}]", *(line.text for line in lines)])
            for block, lines in self._lines.items()
        )

    def append(self, block: str, entry: Entry) -> None:
        """Add a line.

        Raises:
            ValueError: There is no such block, or it would be too long.
        """
        self._set(block, [*self._block(block), entry])

    def replace(self, block: str, old: str, entry: Entry) -> None:
        """Put the entry's text in place of `old` in every line that holds it; an empty text deletes.

        Raises:
            ValueError: There is no such block, it does not hold `old`, or it would be too long.
        """
        lines = self._block(block)
        if not old or not any(old in line.text for line in lines):
            raise ValueError(f"old_content not found in {block}, use the exact text")
        changed = [
            Entry(line.text.replace(old, entry.text), entry.time, sources(line.turns, entry.turns))
            if old in line.text
            else line
            for line in lines
        ]
        self._set(block, [line for line in changed if line.text.strip()])

    def _block(self, block: str) -> list[Entry]:
        if block not in self._lines:
            raise ValueError(f"no block {block!r}, use persona or human")
        return self._lines[block]

    def _set(self, block: str, lines: list[Entry]) -> None:
        size = sum(len(line.text) + 1 for line in lines)
        if size > BLOCK_CHARACTERS:
            raise ValueError(
                f"{block} would have {size} characters, the limit is {BLOCK_CHARACTERS}: replace something"
            )
        self._lines[block] = lines
