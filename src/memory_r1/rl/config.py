"""Every setting of a training run, with its default, and the presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memory_r1.errors import ConfigError

Algorithm = Literal["sft", "grpo", "ppo"]

ALGORITHMS: tuple[Algorithm, ...] = ("sft", "grpo", "ppo")


class TrainConfig(BaseModel):
    """Settings of a training run.

    A field that names an algorithm is read by that algorithm alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent: str = "answerer"
    """Who is trained; names the adapter."""
    algorithm: Algorithm = "grpo"
    seed: int = 0
    """Decides data order, sampling, and the fresh weights."""
    steps: int = Field(100, ge=0)
    """Training steps: rounds of sampling and learning, or batches of SFT."""

    # model
    model: str = "bundled"
    """`bundled`, a folder, or a hub id."""
    start: str | None = None
    """Folder of a LoRA adapter to start from; it is also the KL's reference. None starts from the base model."""
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the base model; adapters and the value head stay in float32. `auto`: float32 on a CPU, bfloat16 elsewhere."""
    full: bool = False
    """Train all weights and no adapter. Needs about 16 bytes a weight."""
    lora_rank: int = Field(16, ge=1)
    lora_alpha: float = Field(32.0, gt=0)
    lora_targets: str | tuple[str, ...] = "all-linear"
    gradient_checkpointing: bool = False
    """Compute activations twice to keep fewer of them: about a third slower, several times less memory."""

    # sampling
    prompts: int = Field(8, ge=1)
    """Tasks a step; SFT: demonstrations a step."""
    completions: int = Field(8, ge=1)
    """Rollouts of each task a step; GRPO's group size G."""
    temperature: float = Field(1.0, gt=0)
    """Of sampling in training; held-out evaluation is greedy."""
    sample_tokens: int = Field(24_576, ge=1)
    """Most tokens, prompts and completions together, that sampling holds keys and values for at once."""

    # optimisation
    lr: float = Field(1e-4, gt=0)
    critic_lr: float = Field(5e-4, gt=0)
    """PPO: of the critic's adapter and value head."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """What the learning rates do after the warm-up."""
    warmup: int = Field(5, ge=0)
    """Steps over which the learning rates rise from 0."""
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    epochs: int = Field(1, ge=1)
    """Passes over the rollouts of a step."""
    minibatches: int = Field(1, ge=1)
    """Optimiser updates a pass."""
    pack_tokens: int = Field(2048, ge=1)
    """Most tokens of one forward and backward pass; a group that is larger goes through alone."""

    # GRPO and PPO
    clip: float = Field(0.2, ge=0)
    """Trust region of the probability ratio; 0 does not clip, as Memory-R1 prints GRPO."""
    clip_high: float | None = Field(None, gt=0)
    """Upper side where it differs (DAPO's clip-higher: 0.28)."""
    kl: float = Field(0.01, ge=0)
    """Weight of the KL to the reference: in GRPO's loss, in PPO's reward of each token. 0 spares the reference."""
    entropy: float = Field(0.0, ge=0)
    """Weight of an entropy bonus."""

    # SFT and GRPO
    average: Literal["sequence", "token", "constant"] = "sequence"
    """How tokens are averaged: GRPO, DAPO, Dr. GRPO. SFT: `token` unless set, so that each token counts the same."""

    # GRPO
    scale: Literal["std", "none"] = "std"
    """Divide advantages by the group's standard deviation, or not (Dr. GRPO); `none` for the manager unless set."""
    zero_variance: Literal["keep", "drop", "resample"] = "drop"
    """Groups whose rewards are all equal: learn their KL alone, leave them out, or sample others for them (DAPO)."""
    resample_rounds: int = Field(2, ge=0)
    """Most further rounds of sampling a step."""

    # PPO
    gamma: float = Field(1.0, gt=0, le=1)
    lam: float = Field(1.0, ge=0, le=1)
    """With less, a completion's first tokens are held to be the worse, as long as the critic knows little."""
    baseline: Literal["none", "group"] = "none"
    """What a completion's reward is counted from, for policy and critic: 0, or the mean of its prompt's completions.

    A critic that has seen a few hundred completions does not know which prompts are hard, and all else drowns in that.
    """
    value_clip: float = Field(0.2, ge=0)
    """How far a value may move in a step before its error stops falling; 0 does not clip."""

    # watching and keeping
    eval_every: int = Field(20, ge=0)
    """Steps between held-out evaluations; 0: only before and after."""
    eval_tasks: int = Field(64, ge=0)
    """Most held-out tasks an evaluation uses."""
    save_every: int = Field(10, ge=1)
    """Steps between checkpoints."""
    keep_checkpoints: int = Field(2, ge=1)
    sample_every: int = Field(10, ge=1)
    """Steps between written samples of rollouts."""


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "laptop": {},
    "paper": {
        "full": True,
        "lr": 1e-6,
        "critic_lr": 1e-5,
        "prompts": 128,
        "completions": 8,
        "minibatches": 1,
        "kl": 0.001,
        "warmup": 0,
        "scale": "std",
        "zero_variance": "keep",
        "gradient_checkpointing": True,
        "pack_tokens": 16_384,
    },
    "tiny": {"prompts": 4, "completions": 4, "steps": 10, "eval_tasks": 16, "lora_rank": 4, "lora_alpha": 8.0},
}
"""`laptop`: a small model with LoRA on a CPU. `paper`: what Memory-R1 states (learning rates, batch, temperature), and
usual values where it is silent (G, KL); for GPUs. `tiny`: to see whether everything runs."""

BY_ALGORITHM: Mapping[Algorithm, Mapping[str, Any]] = {
    "sft": {"lr": 3e-4, "prompts": 16, "schedule": "linear", "average": "token"},
    "grpo": {},
    # a critic learns from more than one look at the same rollouts
    "ppo": {"epochs": 2},
}
"""Defaults that differ by algorithm."""

# a group of the manager's may differ in `budget` alone; divided by its deviation, that would count as much as answers
BY_AGENT: Mapping[str, Mapping[str, Any]] = {"manager": {"scale": "none"}}
"""Defaults that differ by agent, where neither algorithm nor preset says otherwise."""


def make_config(preset: str = "laptop", *, algorithm: Algorithm = "grpo", **chosen: Any) -> TrainConfig:
    """Settings from a preset, with single ones chosen by hand.

    Args:
        preset: A name in `PRESETS`.
        algorithm: How to learn.
        **chosen: Fields of `TrainConfig`; None leaves a field to the preset.

    Raises:
        ConfigError: The preset or a field is unknown, or a value is out of its range.

    Example:
        >>> make_config("paper", algorithm="ppo", steps=10).critic_lr
        1e-05
    """
    if preset not in PRESETS:
        raise ConfigError(f"Unknown preset {preset!r}.", hint=f"Known: {', '.join(PRESETS)}.")
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"Unknown algorithm {algorithm!r}.", hint=f"Known: {', '.join(ALGORITHMS)}.")
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        usual = {**BY_AGENT.get(given.get("agent", ""), {}), **BY_ALGORITHM[algorithm], **PRESETS[preset]}
        return TrainConfig(**{**usual, "algorithm": algorithm, **given})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ConfigError(f"The training setting {field} is wrong: {first['msg']}.") from error
