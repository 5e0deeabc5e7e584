"""The systems that memory-r1 is compared with: re-implemented methods, and real packages in their own environments.

`BASELINES` makes each from a run's `Kit`; a rival's module is imported only when it is made. See `docs/baselines.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from memory_r1.bench.system import Kit, System

_HOMES = {
    "mem0-prompt": ("mem0_prompt.system", "Mem0Prompt"),
    "memgpt": ("memgpt.system", "MemGPT"),
    "a-mem": ("amem.system", "AMem"),
    "memoryos": ("memoryos.system", "MemoryOS"),
    "mem0": ("real.systems", "Mem0Package"),
    "langmem": ("real.systems", "LangMemPackage"),
}


ABOUT: Mapping[str, str] = MappingProxyType(
    {
        "mem0-prompt": "re-implementation of Mem0 v0.x: facts, then ADD/UPDATE/DELETE/NOOP by one prompt",
        "memgpt": "re-implementation of MemGPT: core and archival memory, edited by tool calls",
        "a-mem": "re-implementation of A-Mem: linked notes that evolve",
        "memoryos": "re-implementation of MemoryOS: short-, mid- and long-term memory",
        "mem0": "the package mem0ai in an environment of its own; to be installed first",
        "langmem": "the package langmem in an environment of its own; to be installed first",
    }
)
"""What each rival is, in a line for the list of systems; docs/baselines.md has the differences."""


def _maker(module: str, name: str) -> Callable[[Kit], System]:
    def make(kit: Kit) -> System:
        return cast("System", getattr(import_module(f"{__name__}.{module}"), name)(kit))

    return make


BASELINES: Mapping[str, Callable[[Kit], System]] = MappingProxyType(
    {name: _maker(*home) for name, home in _HOMES.items()}
)
"""Every rival by its name, e.g. `BASELINES["a-mem"](kit)`. `mem0` and `langmem` must be installed first: see
`memory_r1.bench.baselines.real.install`."""
