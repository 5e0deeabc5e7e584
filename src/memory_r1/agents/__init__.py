"""Who decides: extractor, Memory Manager and Answer Agent."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memory_r1.agents.answerer import AnswerAgent as AnswerAgent
    from memory_r1.agents.answerer import recalled_block as recalled_block
    from memory_r1.agents.dates import annotate as annotate
    from memory_r1.agents.extractor import Extractor as Extractor
    from memory_r1.agents.extractor import Window as Window
    from memory_r1.agents.manager import MemoryManager as MemoryManager
    from memory_r1.agents.parser import parse_decision as parse_decision
    from memory_r1.agents.prompts import Prompts as Prompts
    from memory_r1.agents.results import Answer as Answer
    from memory_r1.agents.results import Extraction as Extraction
    from memory_r1.agents.results import Ruling as Ruling
    from memory_r1.agents.results import Usage as Usage

_HOMES = {
    "Answer": "results",
    "AnswerAgent": "answerer",
    "Extraction": "results",
    "Extractor": "extractor",
    "MemoryManager": "manager",
    "Prompts": "prompts",
    "Ruling": "results",
    "Usage": "results",
    "Window": "extractor",
    "annotate": "dates",
    "parse_decision": "parser",
    "recalled_block": "answerer",
}

__all__ = [
    "Answer",
    "AnswerAgent",
    "Extraction",
    "Extractor",
    "MemoryManager",
    "Prompts",
    "Ruling",
    "Usage",
    "Window",
    "annotate",
    "parse_decision",
    "recalled_block",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
