"""`chat`: talk with the model; it recalls what bears on your message and remembers what you say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_r1.cli.options import ModelOptions
from memory_r1.errors import MemoryR1Error

if TYPE_CHECKING:
    from rich.console import Console

    from memory_r1.cli.options import ScopeIds
    from memory_r1.memory import Memory
    from memory_r1.recall import AnswerResult

COMMANDS = "/log  what was done    /list  all memories    /undo  take the last change back    /quit  leave"
LEAVE = frozenset({"/quit", "/exit", "/q"})


def chat(
    options: ModelOptions,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Your name, for the memories.")] = None,
) -> None:
    """Talk with the model. It answers from memory and remembers what you say; --json writes one line an exchange."""
    from memory_r1.cli.output import console

    out = console()
    with options.open_with_model() as memory:
        talk = Talk(memory, options.scope, name, out)
        if sys.stdin.isatty() and not options.as_json:
            out.print(COMMANDS, style="dim")
        for line in _lines(out, prompt=sys.stdin.isatty() and not options.as_json):
            if line in LEAVE:
                break
            if options.as_json:
                talk.exchange_as_json(line)
            else:
                talk.take(line)


@dataclass
class Talk:
    """One sitting: a bank, a speaker, and the terminal."""

    memory: Memory
    scope: ScopeIds
    name: str | None
    out: Console

    def take(self, line: str) -> None:
        """Handle one line for a person. An error is told and does not end the talk."""
        from rich.text import Text

        commands: dict[str, Callable[[], None]] = {"/log": self._log, "/list": self._list, "/undo": self._undo}
        try:
            if line.startswith("/"):
                commands.get(line, self._help)()
                return
            with self.out.status("recalling"):
                answer = self._answer(line)
            self._show(answer)
            with self.out.status("remembering"):
                results = self._remember(line)
            self._show_events(results)
        except MemoryR1Error as error:
            self.out.print(Text(str(error), style="red"))

    def exchange_as_json(self, line: str) -> None:
        """Handle one line for a program: one JSON object on one line of stdout."""
        import json

        answer = self._answer(line)
        exchange = {
            "message": line,
            "answer": answer.text,
            "abstained": answer.abstained,
            "memories": [record.text for record in answer.distilled],
            "operations": self._remember(line),
        }
        sys.stdout.write(json.dumps(exchange, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def _answer(self, line: str) -> AnswerResult:
        return self.memory.answer(line, **self.scope)

    def _remember(self, line: str) -> list[dict[str, Any]]:
        message = {"role": "user", "content": line}
        named = message if self.name is None else {**message, "name": self.name}
        results: list[dict[str, Any]] = self.memory.add(named, **self.scope)["results"]
        return results

    def _show(self, answer: AnswerResult) -> None:
        from rich.text import Text

        from memory_r1.cli.output import shown

        self.out.print(Text.assemble(("r1> ", "bold cyan"), shown(answer.text)))
        for record in answer.distilled:
            self.out.print(Text(f"    · {shown(record.text)}", style="dim"))

    def _show_events(self, results: list[dict[str, Any]]) -> None:
        from memory_r1.cli.render import event_line

        for result in results:
            if result["event"] != "NOOP":
                self.out.print(event_line(result))

    def _log(self) -> None:
        from memory_r1.cli.log import SHOWN
        from memory_r1.cli.render import operation_line

        for operation in self.memory.log(**self.scope, limit=SHOWN, newest_first=True)[::-1]:
            self.out.print(operation_line(f"#{operation.seq}", operation, two_lines=self.out.is_terminal))

    def _list(self) -> None:
        from rich.text import Text

        from memory_r1.cli.output import shown

        for item in self.memory.get_all(**self.scope)["results"]:
            self.out.print(Text(f"· {shown(item['memory'])}"))

    def _undo(self) -> None:
        from memory_r1.bank.operation import OperationKind
        from memory_r1.cli.render import operation_line

        undone = {operation.undoes for operation in self.memory.log(**self.scope)}
        for operation in self.memory.log(**self.scope, newest_first=True):
            changes = operation.kind in (OperationKind.ADD, OperationKind.UPDATE, OperationKind.DELETE)
            if changes and operation.id not in undone:
                for one in self.memory.undo(operation.id):
                    self.out.print(operation_line(f"#{one.seq}", one))
                return
        self.out.print("There is nothing to undo.", style="dim")

    def _help(self) -> None:
        self.out.print(COMMANDS, style="dim")


def _lines(out: Console, *, prompt: bool) -> Iterator[str]:
    while True:
        try:
            line = out.input("[bold]you>[/] ") if prompt else input()
        except EOFError:
            return
        if line := line.strip():
            yield line
