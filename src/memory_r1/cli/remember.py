"""`add` and `plan`: what is said becomes operations, or would."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from memory_r1.cli.options import ModelOptions
from memory_r1.errors import InvalidInputError

Text = Annotated[str, typer.Argument(metavar="TEXT", help="What was said; '-' reads it from standard input.")]
Speaker = Annotated[str | None, typer.Option(metavar="NAME", help="Who said it.")]
Time = Annotated[str | None, typer.Option(metavar="ISO8601", help="When it was said; now by default.")]


def add(
    options: ModelOptions,
    text: Text,
    speaker: Speaker = None,
    time: Time = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help='Values to keep with it, e.g. \'{"topic": "pets"}\'.')
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Store the text as it is; ask no language model.")] = False,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Idempotency key: the same key writes only once.")
    ] = None,
) -> None:
    """Remember what is worth remembering in a message."""
    from memory_r1.cli.output import console, note, print_json
    from memory_r1.cli.render import event_line, usage_dict, usage_line

    message = _message(text, speaker)
    values = parse_object(metadata, "--metadata")
    with options.open() if raw else options.open_with_model() as memory:
        added = memory.add(
            message, **options.scope, metadata=values, timestamp=time, infer=not raw, idempotency_key=key
        )
    if options.as_json:
        print_json({"results": added["results"], "usage": usage_dict(added["usage"])})
        return
    out = console()
    for result in added["results"]:
        out.print(event_line(result))
    if not added["results"]:
        note("Nothing in this message is worth remembering.")
    note(usage_line([added["usage"]]))


def plan(options: ModelOptions, text: Text, speaker: Speaker = None, time: Time = None) -> None:
    """Show what `add` would do, and write nothing."""
    from memory_r1.cli.output import console, note, print_json
    from memory_r1.cli.render import planned_dict, planned_line, usage_line

    message = _message(text, speaker)
    with options.open_with_model() as memory:
        planned = memory.plan(message, **options.scope, timestamp=time)
    if options.as_json:
        print_json({"operations": [planned_dict(one) for one in planned]})
        return
    out = console()
    for number, one in enumerate(planned, start=1):
        out.print(planned_line(str(number), one))
    if not planned:
        note("Nothing in this message is worth remembering.")
    note(f"{usage_line([one.ruling.usage for one in planned])}; nothing was written")


def parse_object(text: str | None, option: str) -> dict[str, Any] | None:
    """Read a JSON object that an option carries.

    Raises:
        InvalidInputError: It is something else.
    """
    import json

    if text is None:
        return None
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidInputError(f"{option} is not JSON: {error}.", hint='Write e.g. \'{"topic": "pets"}\'.') from error
    if not isinstance(value, dict):
        raise InvalidInputError(f"{option} is JSON, but no object.", hint='Write e.g. \'{"topic": "pets"}\'.')
    return value


def read_text(text: str) -> str:
    """The argument itself, or standard input for `-`.

    Raises:
        InvalidInputError: Standard input is not UTF-8.
    """
    if text != "-":
        return text
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError("Standard input is not UTF-8 text.", hint="Convert it, e.g. with iconv.") from error


def _message(text: str, speaker: str | None) -> dict[str, str]:
    message = {"role": "user", "content": read_text(text)}
    return message if speaker is None else {**message, "name": speaker}
