"""The command line. `main` is the `memory-r1` command.

Modules here import only what `memory-r1 --help` needs; each command imports the rest when it runs.
"""

from memory_r1.cli.app import main

__all__ = ["main"]
