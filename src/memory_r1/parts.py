"""Builds what a `Memory` is made of from its settings. Models load at first use, so building is quick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memory_r1.agents.answerer import AnswerAgent
from memory_r1.agents.fact_extractor import FactExtractor
from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.selector import make_extractor
from memory_r1.bank.sqlite import SqliteStore
from memory_r1.bank.store import EmbedderIdentity, Store
from memory_r1.config import Settings
from memory_r1.curator import Curator
from memory_r1.errors import StoreError
from memory_r1.lm.base import LanguageModel
from memory_r1.lm.factory import make_lm
from memory_r1.lm.local import LocalLM
from memory_r1.policies import chosen
from memory_r1.retrieval.cache import CachedEmbedder
from memory_r1.retrieval.embedder import Embedder
from memory_r1.retrieval.factory import make_embedder
from memory_r1.retrieval.search import Retriever


@dataclass(frozen=True, slots=True)
class Parts:
    """One of each."""

    store: Store
    embedder: Embedder
    lm: LanguageModel
    retriever: Retriever
    extractor: FactExtractor
    manager: MemoryManager
    answerer: AnswerAgent
    curator: Curator

    def forget(self) -> None:
        """Drop what is cached of texts and vectors, so that an erased text is nowhere in this process."""
        self.retriever.forget()
        if isinstance(self.embedder, CachedEmbedder):
            self.embedder.clear()

    def close(self) -> None:
        """Close the store and the model; both allow a second call."""
        try:
            self.store.close()
        finally:
            self.lm.close()


def build_parts(
    settings: Settings,
    *,
    store: Store | None = None,
    embedder: Embedder | None = None,
    lm: LanguageModel | None = None,
) -> Parts:
    """Build the parts that are not handed in.

    Raises:
        ConfigError: A setting names something that does not exist.
        StoreError: The store cannot be opened, or holds vectors of another embedder.
    """
    prompts = Prompts.load(Path(settings.prompts) if settings.prompts else None)
    adapters = chosen(settings.model, settings.adapters)
    language_model = lm or make_lm(
        settings.model, adapters=adapters, base_url=settings.base_url, api_key=settings.api_key
    )
    # a model that is handed in comes with its own adapters, or with none
    known = tuple(adapters) if lm is None else lm.adapters if isinstance(lm, LocalLM) else ()
    embed = embedder or build_embedder(settings)
    opened = store or open_store(settings)
    try:
        opened.bind_embedder(EmbedderIdentity(embed.name, embed.dimension))
        retriever = Retriever(opened, embed)
        manager = MemoryManager(language_model, prompts, adapter=_adapter(known, "manager"), embedder=embed)
        return Parts(
            store=opened,
            embedder=embed,
            lm=language_model,
            retriever=retriever,
            extractor=make_extractor(language_model, prompts, _adapter(known, "extractor")),
            manager=manager,
            answerer=AnswerAgent(language_model, prompts, adapter=_adapter(known, "answerer")),
            curator=Curator(opened, retriever, embed, manager, candidates=settings.candidates),
        )
    except BaseException:
        if store is None:
            opened.close()
        raise


def open_store(settings: Settings) -> SqliteStore:
    """Open the store that the settings name, making its folder if need be.

    Raises:
        StoreError: The folder cannot be made, or the file cannot be opened.
    """
    if settings.store == ":memory:":
        return SqliteStore(settings.store)
    path = Path(settings.store).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The folder of {path} cannot be made: {error}.", hint="Name another store.") from error
    return SqliteStore(path, durable=settings.durable)


def build_embedder(settings: Settings) -> Embedder:
    """The embedder that the settings name, behind a cache by content."""
    return CachedEmbedder(
        make_embedder(
            settings.embedder, base_url=settings.embedder_base_url or settings.base_url, api_key=settings.api_key
        )
    )


def _adapter(adapters: Sequence[str], agent: str) -> str | None:
    return agent if agent in adapters else None
