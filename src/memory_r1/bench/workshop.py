"""What all systems of a run share: models, caches and limits; and a kit for each system made from them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_r1.bench.book import no_exit
from memory_r1.bench.cache import CachedLM, CompletionCache
from memory_r1.bench.kit import RunKit
from memory_r1.bench.meter import MeteredLM
from memory_r1.bench.specs import Spec, find_maker, weights_hash
from memory_r1.bench.system import Closable, Kit, System
from memory_r1.errors import ConfigError, MemoryR1Error
from memory_r1.lm.base import Sampling
from memory_r1.lm.factory import is_remote, make_lm
from memory_r1.retrieval.cache import CachedEmbedder
from memory_r1.told_paths import told_path, told_text

if TYPE_CHECKING:
    from memory_r1.config import Settings
    from memory_r1.lm.base import LanguageModel
    from memory_r1.retrieval.embedder import Embedder

_TOGETHER_TOKENS = 32_768
"""Most tokens of a batch for several conversations; their keys and values take 1.5 GB with the bundled model."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The same for every system."""

    reader_tokens: int = 1500
    """Most tokens of memories that a reader is shown."""
    answer_tokens: int = 96
    """Most tokens of an answer's completion."""

    def __post_init__(self) -> None:
        for name, value in (("reader_tokens", self.reader_tokens), ("answer_tokens", self.answer_tokens)):
            if value < 1:
                raise ConfigError(f"{name}={value} is not a positive number.")


class Workshop:
    """Makes systems.

    Args:
        lm: The language model; it knows each adapter of the specs by `adapter_names`. It is closed by `close`.
        embedder: The embedder.
        specs: The systems of the run.
        cache: Folder for completions and facts.
        identity: Which model `lm` is, weights included; its name if empty.
        limits: See `Limits`.
        at_once: Conversations that are read and asked at the same time. A local model answers them in one batch.

    Raises:
        ConfigError: An adapter's folder is not one, or `at_once` is below 1.
        StoreError: The cache cannot be opened.
    """

    def __init__(
        self,
        lm: LanguageModel,
        embedder: Embedder,
        specs: Sequence[Spec],
        *,
        cache: Path,
        identity: str = "",
        limits: Limits | None = None,
        at_once: int = 1,
    ) -> None:
        if at_once < 1:
            raise ConfigError(f"concurrency={at_once} is not a positive number.")
        self.at_once = at_once
        self.lm, self.embedder, self.specs = lm, embedder, tuple(specs)
        self.limits = limits or Limits()
        self.identity = identity or lm.name
        self._hashes = {folder: weights_hash(folder) for folder in _folders(specs)}
        self._facts = cache / "facts"
        self._completions = CompletionCache(cache / "completions.sqlite")
        weights = {_inner_name(digest): digest for digest in self._hashes.values()}
        self.cached = CachedLM(lm, self._completions, identity=self.identity, adapters=weights)

    @property
    def local(self) -> bool:
        """Whether the model runs in this process."""
        from memory_r1.lm.local import LocalLM

        return isinstance(self.lm, LocalLM)

    def kit(
        self,
        spec: Spec,
        folder: Path,
        *,
        stop: threading.Event | None = None,
        on_call: Callable[[int], None] | None = None,
        on_turns: Callable[[int], None] = lambda read: None,
    ) -> RunKit:
        """A kit for one system and one conversation.

        Args:
            spec: Whose.
            folder: Empty; for its stores.
            stop: When it is set, the next call of the model ends the work.
            on_call: Told after each call of the model how many there were.
            on_turns: Told how many turns are read, if the system says so; see `Kit`.
        """
        hashes = {agent: self._hashes[path] for agent, path in spec.adapters.items()}
        inner = {agent: _inner_name(digest) for agent, digest in hashes.items()}
        # a folder may stand for its adapter as well: a kit tells systems both
        by_folder = {path: inner[agent] for agent, path in spec.adapters.items()}
        lm = MeteredLM(self.cached, adapters={**by_folder, **inner}, stop=stop, on_call=on_call)
        return RunKit(
            lm=lm,
            # as in the product; one for all systems would make the later ones look fast
            embedder=CachedEmbedder(self.embedder),
            folder=folder,
            reader_tokens=self.limits.reader_tokens,
            answer_tokens=self.limits.answer_tokens,
            adapters=dict(spec.adapters),
            options=dict(spec.options),
            on_turns=on_turns,
            facts=self._facts,
            identity=self.identity,
            hashes=hashes,
        )

    def make(self, spec: Spec, kit: Kit) -> System:
        """Make a system.

        Raises:
            ConfigError: What was made does not have the parts of a system.
        """
        system = find_maker(spec.method)(kit)
        if not isinstance(system, System):
            raise ConfigError(
                f"{spec.method} is no system.",
                hint="It needs name, about, ingest(conversation), answer(question) and stats(); see docs/benchmark.md.",
            )
        return system

    def about(self, folder: Path) -> dict[str, str]:
        """What each system says of itself; making each once shows wrong options before any time is spent.

        Raises:
            ConfigError: A system cannot be made.
        """
        told = {}
        for number, spec in enumerate(self.specs):
            place = folder / f"about-{number}"
            place.mkdir(parents=True)
            try:
                with no_exit():
                    system = self.make(spec, self.kit(spec, place))
                    told[spec.name] = told_text(str(system.about))
                    if isinstance(system, Closable):
                        system.close()
            except MemoryR1Error:
                raise
            except Exception as error:
                raise ConfigError(
                    f"The system {spec.name!r} cannot be made: {type(error).__name__}: {error}",
                    hint="Its class is called with one argument, a `Kit`.",
                ) from error
        return told

    def adapters_told(self) -> dict[str, dict[str, dict[str, str]]]:
        """For each system, hash of each agent's adapter and its folder as `told_path` tells it."""
        return {
            spec.name: {
                agent: {"folder": told_path(path), "sha256": self._hashes[path]}
                for agent, path in spec.adapters.items()
            }
            for spec in self.specs
            if spec.adapters
        }

    def made_told(self) -> dict[str, dict[str, Any]]:
        """For each system all that must stay the same when a run goes on."""
        return {
            spec.name: {
                "method": spec.method,
                "options": dict(spec.options),
                "weights": {agent: self._hashes[path][:12] for agent, path in spec.adapters.items()},
            }
            for spec in self.specs
        }

    def check_alive(self) -> None:
        """Ask the model and the embedder something small, past all caches.

        Raises:
            ModelError: One of them is not there.
        """
        # a remote model that thinks first must come to an answer, or its endpoint seems to give none
        most = 8 if self.local else 512
        self.lm.complete([[{"role": "user", "content": "Say: yes"}]], Sampling(max_tokens=most))
        self.embedder.embed(["yes"])

    def close(self) -> None:
        """Close the model and the cache; a second call does nothing."""
        self._completions.close()
        self.lm.close()


def open_workshop(
    settings: Settings,
    specs: Sequence[Spec],
    *,
    cache: Path,
    limits: Limits | None = None,
    context_length: int | None = None,
    at_once: int = 1,
) -> Workshop:
    """A workshop with the model and the embedder that settings name.

    Args:
        settings: `model`, `embedder`, endpoints and key count; adapters come from the specs.
        specs: The systems.
        cache: Folder for completions and facts.
        limits: See `Limits`.
        context_length: A lower limit than the model's own, or that of a remote model; in tokens.
        at_once: See `Workshop`.

    Raises:
        ConfigError: A setting is wrong, or a remote model is given adapters.
    """
    from memory_r1.retrieval.factory import make_embedder

    options: dict[str, Any] = {} if context_length is None else {"context_length": context_length}
    if at_once > 1 and not is_remote(settings.model):
        options["batch_tokens"] = _TOGETHER_TOKENS
    lm = make_lm(
        settings.model,
        adapters=adapter_names(specs),
        base_url=settings.base_url,
        api_key=settings.api_key,
        **options,
    )
    embedder = make_embedder(
        settings.embedder, base_url=settings.embedder_base_url or settings.base_url, api_key=settings.api_key
    )
    identity = model_identity(settings.model, lm, settings.base_url)
    return Workshop(lm, embedder, specs, cache=cache, identity=identity, limits=limits, at_once=at_once)


def adapter_names(specs: Sequence[Spec]) -> dict[str, str | Path]:
    """The adapters of all systems, each once, under the names that the language model must know them by.

    Raises:
        ConfigError: A folder holds no adapter.
    """
    return {_inner_name(weights_hash(folder)): Path(folder).expanduser() for folder in _folders(specs)}


def model_identity(spec: str, lm: LanguageModel, base_url: str | None = None) -> str:
    """A name that two models never share: for a folder its name with a hash of its files, for an endpoint its address.

    Raises:
        ConfigError: The folder cannot be read.
    """
    folder = Path(spec.removeprefix("local:")).expanduser()
    if spec != "bundled" and folder.is_dir():
        from memory_r1.lm.wheel import file_sha256

        kinds = (".safetensors", ".bin", ".gguf", ".json")
        files = sorted(path for path in folder.iterdir() if path.suffix in kinds)
        told = "".join(f"{path.name} {file_sha256(path)}\n" for path in files)
        return f"{lm.name}@{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    if spec.startswith("openai:"):
        return f"{spec}@{base_url or ''}"
    return lm.name if spec == "bundled" else spec


def _folders(specs: Sequence[Spec]) -> list[str]:
    return list(dict.fromkeys(folder for spec in specs for folder in spec.adapters.values()))


def _inner_name(digest: str) -> str:
    return f"adapter-{digest[:12]}"
