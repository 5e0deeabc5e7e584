"""Makes an agent's tasks: reads data, builds problems, and binds them to prompts, reader and rewards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from memory_r1.agents.answerer import AnswerAgent
from memory_r1.agents.fact_extractor import FactExtractor
from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.selector import make_extractor
from memory_r1.bench.vectors import KeptEmbedder, VectorFile
from memory_r1.config import reader_tokens
from memory_r1.errors import ConfigError
from memory_r1.lm.adapters import WEIGHTS_FILE
from memory_r1.lm.factory import make_lm
from memory_r1.lm.local import LocalLM
from memory_r1.policies import NONE, Agent, chosen
from memory_r1.retrieval.embedder import Embedder
from memory_r1.retrieval.factory import make_embedder
from memory_r1.rl import build_conversations, build_synthetic
from memory_r1.rl.answer_task import AnswerWorld
from memory_r1.rl.bank_state import BankSearch, Cut
from memory_r1.rl.boards import answer_boards, gathered
from memory_r1.rl.build_options import PAPER_MANAGER, SYNTHETIC_MANAGER, AnswerOptions, ExtractOptions, with_options
from memory_r1.rl.data_config import DataConfig
from memory_r1.rl.endpoints import asked_model
from memory_r1.rl.episode import Task
from memory_r1.rl.extract_task import ExtractWorld
from memory_r1.rl.fact_cache import FactCache
from memory_r1.rl.judge import LmJudge
from memory_r1.rl.launch import file_hash
from memory_r1.rl.manager_task import ManagerWorld
from memory_r1.rl.problems import Problem, read_problems
from memory_r1.rl.prompt_task import read_prompt_tasks
from memory_r1.rl.reader import FrozenReader
from memory_r1.rl.rewards import weights_of
from memory_r1.rl.training_data import Part, TrainingData, make_tasks, open_data


@dataclass(frozen=True, slots=True)
class ReadData:
    """A data set that was read and checked, and not worked on yet: conversations, problems, or tasks as they are."""

    digest: str
    data: TrainingData | None = None
    problems: Sequence[Problem] = ()
    tasks: Sequence[Task] | None = None


class TaskWorkshop:
    """Makes the tasks of one configuration.

    Args:
        config: What for, and from what.

    Raises:
        ConfigError: The model is remote, a name is unknown, or options do not go together.
        ModelError: The embedder cannot be loaded.
    """

    def __init__(self, config: DataConfig) -> None:
        named: dict[Agent, str | None] = {"answerer": config.reader, "extractor": config.extractor, "manager": NONE}
        self.config = config
        self.readers: list[FrozenReader] = []
        self.adapters = chosen(config.model, {agent: path for agent, path in named.items() if path is not None})
        self.lm = _local(config.model, self.adapters)
        self.prompts = Prompts.load()
        if config.reader_tokens is not None and config.memories is not None:
            raise ConfigError(
                "A number of memories has no budget of tokens.", hint="Leave --memories or --reader-tokens out."
            )
        tokens = config.reader_tokens or reader_tokens(config.model)
        paper = Cut(preset="paper")
        self.cut = paper if config.memories == "paper" else Cut(k=config.memories, budget_tokens=tokens)
        self.search = BankSearch(self._embedder())
        usual = {"extractor": "extract", "manager": "imitate" if config.together else "default", "answerer": "default"}
        self.weights = weights_of(config.rewards or usual[config.agent])
        if config.build and config.together:
            raise ConfigError("Problems to imitate have no options.", hint="Add --apart, or leave --build out.")
        self.answering = with_options(AnswerOptions(source=config.source, cut=self.cut), self._built("answerer"))
        self.extracting = with_options(ExtractOptions(), self._built("extractor"))
        self.managing = with_options(PAPER_MANAGER, self._built("manager"))
        self.managing_synthetic = with_options(SYNTHETIC_MANAGER, self._built("manager"))
        self.judge = self._judge()

    def _embedder(self) -> Embedder:
        """The embedder, with its vectors kept on disk: a data set's texts are embedded in their first run alone."""
        embedder = make_embedder(self.config.embedder)
        # a folder may hold other weights tomorrow
        if Path(self.config.embedder).expanduser().is_dir():
            return embedder
        return KeptEmbedder(embedder, VectorFile(self._kept() / "vectors.sqlite"))

    def _judge(self) -> LmJudge | None:
        judge = self.config.judge
        if (judge is None) != (not self.weights.judge):
            lack = "there is no judge" if judge is None else "it has no weight"
            raise ConfigError(
                f"The rewards need a judge and the weight of its verdict; {lack}.",
                hint="For example: --judge openai:NAME --rewards em=0.5,judge=0.5.",
            )
        if judge is None:
            return None
        return LmJudge(asked_model(judge, folder=self.config.facts_folder))

    def _built(self, agent: Agent) -> dict[str, Any]:
        return self.config.build if self.config.agent == agent else {}

    def read(self, name: str, part: Part = "train", *, together: bool = False) -> ReadData:
        """Read a data set, and refuse what the agent cannot learn from."""
        path = Path(name).expanduser()
        if path.suffix == ".jsonl" and path.is_file():
            kind = _kind(path)
            if kind == "task":
                return ReadData(file_hash(path), tasks=read_prompt_tasks(path))
            if kind == "problem":
                return ReadData(file_hash(path), problems=read_problems(path))
        data = open_data(name, part)
        if not data.synthetic:
            if self.config.infer_evidence:
                proven = tuple(build_conversations.infer_evidence(one) for one in data.conversations)
                data = replace(data, conversations=proven)
            self._check(data, together)
        return ReadData(data.digest, data)

    def tasks(self, read: ReadData, *, together: bool = False) -> Sequence[Task]:
        """The tasks of a data set."""
        if read.tasks is not None:
            return read.tasks
        return self._bind(self._problems(read.data, together) if read.data else read.problems)

    def _check(self, data: TrainingData, together: bool) -> None:
        agent = self.config.agent
        if agent == "extractor":
            raise ConfigError(
                f"{data.name} has no gold facts, so the extractor cannot learn from it.", hint="Use synthetic:COUNT."
            )
        if agent == "manager" and self.config.together:
            raise ConfigError(
                f"{data.name} has no gold operations that the manager could imitate.",
                hint="Use synthetic:COUNT, learn from a --teacher, or train by grpo or ppo.",
            )
        build_conversations.check_usable(
            data.conversations,
            agent,
            source=data.name,
            evidence=together,
            unanswerable=self.managing.unanswerable,
        )

    def _problems(self, data: TrainingData, together: bool) -> Sequence[Problem]:
        agent = self.config.agent
        if data.synthetic:
            if agent == "extractor":
                return build_synthetic.extract_problems(data.synthetic, self.extracting)
            if agent == "manager":
                if self.config.together:
                    return build_synthetic.manager_demonstrations(data.synthetic, self.search)
                return build_synthetic.manager_problems(data.synthetic, self.search, self.managing_synthetic)
            if together:
                return answer_boards(data.synthetic, self.search)
            return build_synthetic.answer_problems(data.synthetic, self.search, self.answering)
        facts = None
        if (self.managing if agent == "manager" else self.answering).source != "turns":
            cache = FactCache(self._kept(), self._extractor(), name=self._extractor_name())
            facts = {one.id: cache.facts(one) for one in data.conversations}
        if agent == "manager":
            return build_conversations.manager_problems(
                data.conversations, self.search, self.managing, facts=facts, source=data.name
            )
        problems = build_conversations.answer_problems(
            data.conversations, self.search, self.answering, facts=facts, source=data.name
        )
        if not together:
            return problems
        asked = {question.id: one.id for one in data.conversations for question in one.questions}
        by_conversation = groupby(problems, key=lambda problem: asked[problem.question.id])
        return [board for name, group in by_conversation for board in gathered(name, list(group))]

    def _bind(self, problems: Sequence[Problem]) -> Sequence[Task]:
        agent = self.config.agent
        if agent == "extractor":
            return make_tasks(problems, extract=ExtractWorld(self.lm, self.prompts, self.weights))
        if agent == "answerer":
            answerer = AnswerAgent(self.lm, self.prompts)
            return make_tasks(problems, answer=AnswerWorld(answerer, self.weights, judge=self.judge))
        reader = AnswerAgent(self.lm, self.prompts, adapter=self._named("answerer"))
        frozen = FrozenReader(reader)
        self.readers.append(frozen)
        # as the product will use what is trained, though here the adapter is the policy's own
        manager = MemoryManager(self.lm, self.prompts, brief=True, merges=True, embedder=self.search.embedder)
        shown = self.managing.candidates
        world = ManagerWorld(manager, frozen, self.search, self.weights, self.cut, shown, self.judge)
        return make_tasks(problems, manager=world)

    def use_reader(self, adapter: Path) -> None:
        """Let another adapter answer from now on."""
        self.lm.load_adapter("answerer", adapter)
        for reader in self.readers:
            reader.forget()

    def _extractor(self) -> FactExtractor:
        return make_extractor(self.lm, self.prompts, self._named("extractor"))

    def _named(self, agent: Agent) -> str | None:
        return agent if agent in self.adapters else None

    def _extractor_name(self) -> str:
        folder = self.adapters.get("extractor")
        return self.lm.name if folder is None else f"{self.lm.name}/{file_hash(Path(folder, WEIGHTS_FILE))}"

    def _kept(self) -> Path:
        """Where facts and vectors are kept between runs."""
        from memory_r1.lm.bundled import cache_folder

        return Path(self.config.facts_folder) if self.config.facts_folder else cache_folder() / "facts"


def _local(model: str, adapters: dict[str, str]) -> LocalLM:
    lm = make_lm(model, adapters=adapters)
    if not isinstance(lm, LocalLM):
        raise ConfigError(f"The model {model} is remote and cannot be trained.", hint="Give a folder or a hub id.")
    return lm


def _kind(path: Path) -> Literal["task", "problem", "conversation"]:
    """What a file of JSON Lines holds, by its first line; a damaged one is left to the conversations' reader."""
    with path.open(encoding="utf-8", errors="replace") as file:
        line = next((line for line in file if line.strip()), "")
    try:
        first = json.loads(line)
    except ValueError:
        return "conversation"
    if isinstance(first, dict) and "prompt" in first:
        return "task"
    return (
        "problem"
        if isinstance(first, dict) and first.get("type") in ("manager", "answer", "extract")
        else "conversation"
    )
