"""Which texts can be kept."""

from __future__ import annotations

from memory_r1.errors import InvalidInputError


def check_text(text: object, *, what: str = "The text", max_chars: int | None = None) -> str:
    """Return the text if every store can hold it and give it back unchanged.

    Raises:
        InvalidInputError: Not a string, blank, longer than `max_chars`, or with NUL or a lone surrogate in it.

    Example:
        >>> check_text("Ann likes tea")
        'Ann likes tea'
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"{what} is a {type(text).__name__}.", hint="Pass a string.")
    if not text.strip():
        raise InvalidInputError(f"{what} is empty.", hint="Pass some text.")
    if max_chars is not None and len(text) > max_chars:
        raise InvalidInputError(
            f"{what} has {len(text):,} characters; the limit is {max_chars:,}.",
            hint="Split it, or raise the `max_chars` setting.",
        )
    if "\0" in text:
        raise InvalidInputError(f"{what} holds a NUL character.", hint="Remove it; it marks binary data, not text.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{what} holds a lone surrogate at character {error.start}.",
            hint="Decode the source as UTF-8 with errors='replace'.",
        ) from error
    return text
