"""Where a completion ends: at a stop string, or behind its first complete JSON object."""

from __future__ import annotations

from dataclasses import dataclass

from memory_r1.lm.base import Sampling


@dataclass(frozen=True, slots=True)
class StopRule:
    """The text conditions of a `Sampling`."""

    stop: tuple[str, ...] = ()
    json_object: bool = False

    @classmethod
    def of(cls, sampling: Sampling) -> StopRule:
        """The rule that a sampling asks for."""
        return cls(sampling.stop, sampling.json_object)

    @property
    def active(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.stop) or self.json_object

    def end(self, text: str) -> int | None:
        """Where the text ends: before the first stop string or behind the first JSON object, whichever comes first.

        Returns:
            An index into `text`, or None if it goes on.

        Example:
            >>> rule = StopRule(stop=("END",), json_object=True)
            >>> text = 'So: {"op": "NOOP"} and more END'
            >>> text[: rule.end(text)]
            'So: {"op": "NOOP"}'
        """
        ends = [found for found in map(text.find, self.stop) if found >= 0]
        if self.json_object and (closed := json_object_end(text)) is not None:
            ends.append(closed)
        return min(ends, default=None)


def json_object_end(text: str) -> int | None:
    """Index behind the brace that closes the first `{`; braces inside of JSON strings do not count.

    Only braces are matched: what stands between them may still be invalid JSON, and then more tokens would not help.

    Example:
        >>> json_object_end('{"a": {"b": "}"}} tail')
        17
        >>> json_object_end('{"a": 1') is None
        True
    """
    start = text.find("{")
    if start < 0 or "}" not in text:
        return None
    depth, quoted, escaped = 0, False, False
    for index in range(start, len(text)):
        character = text[index]
        if quoted:
            quoted, escaped = _in_string(character, escaped)
        elif character == '"':
            quoted = True
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return index + 1
    return None


def _in_string(character: str, escaped: bool) -> tuple[bool, bool]:
    """Still quoted, and is the next character escaped?"""
    if escaped:
        return True, False
    return character != '"', character == "\\"
