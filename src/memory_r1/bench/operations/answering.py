"""Who answers questions on the managers' banks: one Answer Agent for all, on the language model that they rule with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memory_r1.agents.answerer import AnswerAgent
from memory_r1.agents.prompts import Prompts
from memory_r1.bench.kit import ANSWERER
from memory_r1.bench.operations.managers import (
    SHIPPED,
    UNTRAINED,
    ManagerSpec,
    Ruler,
    adapter_hashes,
    open_managers,
    open_model,
    policy_on,
    shipped_folder,
    with_model,
)
from memory_r1.bench.specs import weights_hash
from memory_r1.errors import ConfigError
from memory_r1.policies import shipped
from memory_r1.rl.reader import FrozenReader

if TYPE_CHECKING:
    from memory_r1.config import Settings
    from memory_r1.lm.base import LanguageModel
    from memory_r1.retrieval.embedder import Embedder


@dataclass(frozen=True, slots=True)
class ReaderSpec:
    """The reader as it was asked for."""

    folder: str | None = None
    """Of its LoRA adapter; None: the untrained model."""


@dataclass(frozen=True, slots=True)
class Reader:
    """The reader, ready to answer."""

    about: str
    agent: FrozenReader
    adapter: Mapping[str, str] | None = None
    """Folder and SHA-256 of its weights; None if it has none."""


def read_reader(given: str | None, model: str = "bundled") -> ReaderSpec:
    """Read who is to answer.

    Args:
        given: `shipped`, `untrained` or the folder of a LoRA adapter; None: the shipped policy if there is one for the
            model, else the untrained model.
        model: The language model as the settings name it.

    Raises:
        ConfigError: It is none of these, or there is no shipped policy for the model.

    Example:
        >>> read_reader("untrained")
        ReaderSpec(folder=None)
    """
    if given is None:
        return ReaderSpec(shipped().get(ANSWERER) if model == "bundled" else None)
    if given == UNTRAINED:
        return ReaderSpec()
    if given == SHIPPED:
        return ReaderSpec(shipped_folder(ANSWERER, "Answer Agent", model))
    if not Path(given).expanduser().is_dir():
        known = f"{SHIPPED}, {UNTRAINED}, and the folder of an adapter"
        raise ConfigError(f"There is no reader {given!r}.", hint=f"Known: {known}.")
    weights_hash(given)
    return ReaderSpec(given)


@contextmanager
def open_agents(
    specs: Sequence[ManagerSpec], reader: ReaderSpec | None, settings: Settings, cache: Path, embedder: Embedder
) -> Iterator[tuple[list[Ruler], Reader | None]]:
    """Managers, in the order of the specs, and the reader, all on one language model that is closed at the end.

    Args:
        specs: Which managers.
        reader: Which reader; None: nothing is asked.
        settings: Name the model, its endpoint and key; no other setting of theirs counts.
        cache: Folder for completions.
        embedder: The product's.

    Raises:
        ConfigError: A setting is wrong, or a remote model is given adapters.
        ModelError: The model is not there.
        StoreError: The cache cannot be opened.
    """
    if reader is None:
        with open_managers(specs, settings, cache, embedder) as rulers:
            yield rulers, None
        return
    hashes = adapter_hashes([*(spec.folder for spec in specs), reader.folder])
    with open_model(hashes, settings, cache) as lm:
        yield with_model(specs, lm, embedder, hashes), reader_on(lm, reader, hashes)


def reader_on(lm: LanguageModel, spec: ReaderSpec, hashes: Mapping[str, str] | None = None) -> Reader:
    """The reader on a language model that is open.

    Args:
        lm: The model; it knows the adapter of the spec by its hash.
        spec: Which.
        hashes: SHA-256 of each adapter by folder.
    """
    policy = policy_on(lm, spec.folder, hashes or {})
    agent = FrozenReader(AnswerAgent(lm, Prompts.load(), adapter=policy.name))
    return Reader(policy.about, agent, policy.adapter)
