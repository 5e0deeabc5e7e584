"""Who rules: a trained policy, the untrained model, or a habit that needs no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.results import Ruling
from memory_r1.bank.operation import OperationKind
from memory_r1.bench.cache import CachedLM, CompletionCache
from memory_r1.bench.kit import MANAGER
from memory_r1.bench.specs import weights_hash
from memory_r1.bench.workshop import model_identity
from memory_r1.errors import ConfigError
from memory_r1.lm.base import Sampling
from memory_r1.policies import shipped
from memory_r1.rl.operation_report import rule_on
from memory_r1.rl.problems import ManagerProblem
from memory_r1.told_paths import told_path

if TYPE_CHECKING:
    from memory_r1.config import Settings
    from memory_r1.lm.base import LanguageModel
    from memory_r1.retrieval.embedder import Embedder

GOLD, ADD_ALL, UNTRAINED, SHIPPED = "gold", "add-all", "untrained", "shipped"

HABITS: Mapping[str, str] = {
    GOLD: "the gold operations: what a perfect manager does",
    ADD_ALL: "every fact is added, nothing is ever changed",
}
"""Baselines that need no model, and what they are."""

_LABELLED = re.compile(r"(?:(?P<name>[A-Za-z0-9][A-Za-z0-9._+-]*)=)?(?P<what>.+)")

Rule = Callable[[Sequence[ManagerProblem]], Sequence[Ruling]]
"""Rules on the one fact of each problem, through the problem's candidates."""


@dataclass(frozen=True, slots=True)
class ManagerSpec:
    """One manager as it was asked for."""

    name: str
    """In tables."""
    what: str
    """`gold`, `add-all`, `untrained`, or `policy`."""
    folder: str | None = None
    """Of a policy's LoRA adapter."""


@dataclass(frozen=True, slots=True)
class Ruler:
    """One manager, ready to rule."""

    name: str
    about: str
    rule: Rule
    searches: bool = True
    """Whether it must be shown what is retrieved; otherwise only the memory that gold concerns is handed to it."""
    adapter: Mapping[str, str] | None = None
    """Folder and SHA-256 of its weights; None if it has none."""
    habit: str | None = None
    """Which of `HABITS` it is; None: a language model."""


class Policy(NamedTuple):
    """A language model that is open, with an adapter or without."""

    name: str | None
    """What the model knows the adapter by; None: the base model."""
    about: str
    adapter: Mapping[str, str] | None
    """Folder and SHA-256 of the weights."""


def read_managers(given: Sequence[str], model: str = "bundled") -> list[ManagerSpec]:
    """Read which managers to measure.

    Args:
        given: Each `gold`, `add-all`, `untrained`, `shipped` or the folder of a LoRA adapter; `NAME=` before it names
            its row. None: both habits, the untrained model and, if there is one for the model, the shipped policy.
        model: The language model as the settings name it.

    Raises:
        ConfigError: One cannot be read, is no adapter, or a name is there twice.

    Example:
        >>> [(spec.name, spec.what) for spec in read_managers(["gold", "base=untrained"])]
        [('gold', 'gold'), ('base', 'untrained')]
    """
    if not given:
        given = [GOLD, ADD_ALL, UNTRAINED, *([SHIPPED] if model == "bundled" and MANAGER in shipped() else [])]
    specs = [_spec(text, model) for text in given]
    names = [spec.name for spec in specs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"There are two managers {twice!r}.", hint=f"Name one of them: --manager other={twice}.")
    return specs


def needs_model(specs: Sequence[ManagerSpec]) -> bool:
    """Whether any of the managers is a language model."""
    return not all(map(_habit, specs))


def habits(specs: Sequence[ManagerSpec]) -> list[Ruler]:
    """Those of the managers that need no model."""
    return [
        Ruler(spec.name, HABITS[spec.what], _HABITS[spec.what], searches=False, habit=spec.what)
        for spec in specs
        if _habit(spec)
    ]


def adding_all(rulers: Iterable[Ruler]) -> str | None:
    """The name of the manager that adds every fact; None if it is not among them.

    Example:
        >>> adding_all(habits(read_managers(["gold", "keep=add-all"])))
        'keep'
    """
    return next((ruler.name for ruler in rulers if ruler.habit == ADD_ALL), None)


@contextmanager
def open_managers(
    specs: Sequence[ManagerSpec], settings: Settings, cache: Path, embedder: Embedder
) -> Iterator[list[Ruler]]:
    """Managers, in the order of the specs; the model is opened if one needs it, and closed at the end.

    Args:
        specs: Which.
        settings: Name the model, its endpoint and key; no other setting of theirs counts.
        cache: Folder for completions, so that a measurement that was stopped goes on from there.
        embedder: The product's.

    Raises:
        ConfigError: A setting is wrong, or a remote model is given adapters.
        ModelError: The model is not there.
        StoreError: The cache cannot be opened.
    """
    if not needs_model(specs):
        yield habits(specs)
        return
    hashes = adapter_hashes(spec.folder for spec in specs)
    with open_model(hashes, settings, cache) as lm:
        yield with_model(specs, lm, embedder, hashes)


def adapter_hashes(folders: Iterable[str | None]) -> dict[str, str]:
    """SHA-256 of each adapter by its folder; None is no adapter.

    Raises:
        ConfigError: A folder holds no LoRA adapter.
    """
    return {folder: weights_hash(folder) for folder in folders if folder is not None}


@contextmanager
def open_model(hashes: Mapping[str, str], settings: Settings, cache: Path) -> Iterator[LanguageModel]:
    """The language model with all adapters of a measurement, behind the cache; closed at the end.

    Args:
        hashes: SHA-256 of each adapter by folder.
        settings: Name the model, its endpoint and key.
        cache: Folder for completions.

    Raises:
        ConfigError: A setting is wrong, or a remote model is given adapters.
        ModelError: The model is not there.
        StoreError: The cache cannot be opened.
    """
    from memory_r1.lm.factory import make_lm

    known = {_inner_name(digest): Path(folder).expanduser() for folder, digest in hashes.items()}
    lm = make_lm(settings.model, adapters=known, base_url=settings.base_url, api_key=settings.api_key)
    try:
        completions = CompletionCache(cache / "completions.sqlite")
        try:
            weights = {_inner_name(digest): digest for digest in hashes.values()}
            identity = model_identity(settings.model, lm, settings.base_url)
            _check_alive(lm)
            yield CachedLM(lm, completions, identity=identity, adapters=weights)
        finally:
            completions.close()
    finally:
        lm.close()


def with_model(
    specs: Sequence[ManagerSpec], lm: LanguageModel, embedder: Embedder, hashes: Mapping[str, str] | None = None
) -> list[Ruler]:
    """Managers on a language model that is open.

    Args:
        specs: Which.
        lm: The model; it knows each adapter of the specs by its hash.
        embedder: Tells it how alike a fact and its memories are.
        hashes: SHA-256 of each adapter by folder.
    """
    prompts = Prompts.load()
    plain = {ruler.name: ruler for ruler in habits(specs)}
    rulers = []
    for spec in specs:
        policy = policy_on(lm, spec.folder, hashes or {})
        manager = MemoryManager(lm, prompts, adapter=policy.name, embedder=embedder)
        rule = partial(rule_on, manager=manager)
        ruler = Ruler(spec.name, policy.about, rule, adapter=policy.adapter)
        rulers.append(plain[spec.name] if _habit(spec) else ruler)
    return rulers


def policy_on(lm: LanguageModel, folder: str | None, hashes: Mapping[str, str]) -> Policy:
    """A language model with the adapter of a folder; None: without.

    Args:
        lm: The model; it knows the adapter by its hash.
        folder: Of the adapter.
        hashes: SHA-256 of each adapter by folder.
    """
    if folder is None:
        return Policy(None, f"{lm.name}, untrained", None)
    digest, told = hashes[folder], told_path(folder)
    return Policy(_inner_name(digest), f"{lm.name} with {told} ({digest[:12]})", {"folder": told, "sha256": digest})


def shipped_folder(agent: str, title: str, model: str) -> str:
    """The folder of an agent's shipped policy.

    Args:
        agent: Its name.
        title: What people call it.
        model: The language model as the settings name it.

    Raises:
        ConfigError: There is none, or it is for another model.
    """
    folder = shipped().get(agent)
    if model != "bundled":
        raise ConfigError(f"The shipped policy is for the bundled model, not for {model}.", hint="Name a folder.")
    if folder is None:
        raise ConfigError(f"This version comes with no trained {title}.", hint="Name an adapter's folder.")
    return folder


def _spec(text: str, model: str) -> ManagerSpec:
    match = _LABELLED.fullmatch(text)
    if match is None:
        raise ConfigError(f"--manager {text} cannot be read.", hint="Write --manager WHAT or --manager NAME=WHAT.")
    name, what = match["name"], match["what"]
    if what in (GOLD, ADD_ALL, UNTRAINED):
        return ManagerSpec(name or what, what)
    if what == SHIPPED:
        return ManagerSpec(name or what, "policy", shipped_folder(MANAGER, "Memory Manager", model))
    folder_path = Path(what).expanduser()
    if not folder_path.is_dir():
        known = ", ".join((GOLD, ADD_ALL, UNTRAINED, SHIPPED))
        raise ConfigError(f"There is no manager {what!r}.", hint=f"Known: {known}, and the folder of an adapter.")
    # every run calls its adapter's folder the same
    usual = folder_path.parent.name if folder_path.name == "adapter" else folder_path.name
    spec = ManagerSpec(name or usual or what, "policy", what)
    weights_hash(what)
    return spec


def _check_alive(lm: LanguageModel) -> None:
    """A model that is not there should say so before the conversations are made."""
    from memory_r1.lm.local import LocalLM

    # a remote model that thinks first must come to an answer, or its endpoint seems to give none
    lm.complete([[{"role": "user", "content": "Say: yes"}]], Sampling(max_tokens=8 if isinstance(lm, LocalLM) else 512))


def _habit(spec: ManagerSpec) -> bool:
    return spec.what in HABITS


def _inner_name(digest: str) -> str:
    return f"adapter-{digest[:12]}"


def _rule_as_gold(problems: Sequence[ManagerProblem]) -> list[Ruling]:
    rulings = []
    for problem in problems:
        fact = problem.facts[0]
        gold = fact.gold
        assert gold is not None
        target = problem.candidates.index(gold.target) if gold.target in problem.candidates else None
        text = gold.text or fact.text if gold.kind in (OperationKind.ADD, OperationKind.UPDATE) else None
        rulings.append(Ruling(gold.kind, target=target, text=text, policy=GOLD))
    return rulings


def _rule_add(problems: Sequence[ManagerProblem]) -> list[Ruling]:
    return [Ruling(OperationKind.ADD, text=problem.facts[0].text, policy=ADD_ALL) for problem in problems]


_HABITS: Mapping[str, Rule] = {GOLD: _rule_as_gold, ADD_ALL: _rule_add}
