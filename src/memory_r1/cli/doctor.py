"""`doctor`: what is installed, cached, reachable and healthy, and what to do about what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from memory_r1.cli.options import ModelOptions

if TYPE_CHECKING:
    from rich.console import RenderableType

    from memory_r1.cli.findings import Finding

MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


def doctor(options: ModelOptions) -> None:
    """Check what is installed, cached, reachable and healthy. Status 1 if something needed is broken."""
    from memory_r1.cli.checks import run_checks
    from memory_r1.cli.findings import Status
    from memory_r1.cli.output import console, print_json

    findings: list[Finding] = []
    out = console()
    for finding in run_checks(options.settings()):
        findings.append(finding)
        if not options.as_json:
            out.print(_line(finding))
    broken = sum(finding.status is Status.FAIL for finding in findings)
    if options.as_json:
        from dataclasses import asdict

        print_json({"healthy": not broken, "findings": [asdict(finding) for finding in findings]})
    if broken:
        raise typer.Exit(1)


def _line(finding: Finding) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    from memory_r1.cli.output import shown

    mark, colour = MARKS[finding.status]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1, style=colour)
    grid.add_column(width=15, style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(mark, finding.name, Text(shown(finding.detail)))
    if finding.advice:
        grid.add_row("", "", Text(f"→ {shown(finding.advice)}", style=colour))
    return grid
