"""Where a run's tasks come from, and what they are scored with."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memory_r1.rl.teacher import TeacherConfig

AgentName = Literal["extractor", "manager", "answerer"]


class DataConfig(BaseModel):
    """Where tasks come from, and what they are scored with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent: AgentName
    data: str
    """A file of tasks or problems (JSON Lines), or a name that `open_data` knows, e.g. `synthetic:200`."""
    more: tuple[str, ...] = ()
    """Further ones, learnt from together with `data`."""
    held_out: str | None = None
    """The same; by default the validation part of the first data set that has one, or else a tenth of the tasks."""
    rewards: str | None = None
    """Mix of reward terms by name, or terms with weights as `em=1,evidence=0.5`; `extract` for the extractor, else
    `default`."""
    judge: str | None = None
    """Model that grades answers for the reward term `judge`, as in `make_lm`; its verdicts are kept on disk."""
    teacher: TeacherConfig | None = None
    """Plays the tasks; what it earned enough for is learnt from instead of them."""
    build: dict[str, Any] = {}
    """Options of the agent's builder by name; see `memory_r1.rl.build_options`."""
    infer_evidence: bool = False
    """Give questions that name no evidence the first turn that holds all words of their answer; a guess."""
    source: Literal["facts", "turns", "both"] = "facts"
    """What the Answer Agent's memories are made of."""
    together: bool = False
    """Problems for demonstrations. Answer Agent: questions share their memories (`rl.boards`), so that many fit into a
    prompt's cost. Memory Manager: every gold ruling, with questions or without, and `operation` is what is scored."""
    memories: Annotated[int, Field(ge=1)] | Literal["paper"] | None = None
    """How many memories a question gets, trained and held-out ones alike. `paper`: 60, 30 for each of two speakers.
    None: the product's dynamic cut."""
    reader_tokens: int | None = Field(None, ge=1)
    """Most tokens of memories under the dynamic cut; None: what suits the model."""
    model: str = "bundled"
    """Counts tokens, answers as the frozen reader, and extracts the facts of conversations that have none."""
    reader: str | None = None
    """Adapter of the frozen reader; None: the shipped one if the model is the bundled one. `none`: the base model."""
    extractor: str | None = None
    """Adapter of the extractor; as for `reader`."""
    embedder: str = "minilm"
    facts_folder: str | None = None
    """Where extracted facts, vectors, and answers of judge and teacher are kept between runs; the models' cache folder
    if None."""
    seed: int = Field(0, ge=0)
    """Decides which tasks are held out."""
