"""What a run tells people: metrics of rollouts, rollouts as text, the card of a trained policy."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from memory_r1.rl.config import TrainConfig
from memory_r1.rl.episode import Rollout
from memory_r1.rl.operation_report import KINDS
from memory_r1.rl.sampler import Clock
from memory_r1.rl.samples import Sample
from memory_r1.told_paths import told_argument, told_command, told_path

if TYPE_CHECKING:
    from memory_r1.rl.policy import Policy
    from memory_r1.rl.run_folder import RunFolder

_OPERATION = re.compile(r'"op"\s*:\s*"(ADD|UPDATE|DELETE|NOOP|NONE)"')


def rollout_metrics(rollouts: Sequence[Rollout], clock: Clock | None) -> dict[str, float]:
    """Means over rollouts: reward and its parts, length, mix of operations, speed."""
    parts: dict[str, list[float]] = defaultdict(list)
    for rollout in rollouts:
        for name, value in rollout.reward.parts.items():
            parts[name].append(value)
    steps = [step for rollout in rollouts for step in rollout.steps]
    tokens = sum(len(step.completion) for step in steps)
    row = {
        "charts/reward": sum(rollout.reward.total for rollout in rollouts) / len(rollouts),
        "charts/length": tokens / max(1, len(steps)),
        **{f"reward/{name}": sum(values) / len(values) for name, values in sorted(parts.items())},
    }
    operations = Counter(found[1] for step in steps if (found := _OPERATION.search(step.text)))
    if operations:
        # an operation that nobody chose is 0 and not missing, so that its curve falls
        row |= {f"ops/{name}": operations[name] / len(steps) for name in sorted({*KINDS, *operations})}
    if clock is not None:
        row |= {"time/sampling": clock.sampling, "time/scoring": clock.scoring}
        row["charts/tokens_per_second"] = tokens / max(clock.sampling, 1e-9)
    return row


def readable_rollouts(rollouts: Sequence[Rollout], policy: Policy, most: int = 2) -> str:
    """The first `most` groups as Markdown: each prompt once, under it the completions with their rewards."""
    lines: list[str] = []
    groups = list(dict.fromkeys(rollout.group for rollout in rollouts))[:most]
    for group in groups:
        members = [rollout for rollout in rollouts if rollout.group == group]
        lines += [f"# {members[0].task_id}", ""]
        prompt: tuple[int, ...] = ()
        for rollout in sorted(members, key=lambda rollout: -rollout.reward.total):
            parts = ", ".join(f"{name} {value:.2f}" for name, value in rollout.reward.parts.items())
            lines += [f"## Reward {rollout.reward.total:.3f} ({parts})", ""]
            for step in rollout.steps:
                if step.prompt != prompt:
                    prompt = step.prompt
                    lines += ["Prompt:", "", *_quoted(policy.tokenizer.decode(prompt)), ""]
                mean = sum(step.logprobs) / max(1, len(step.logprobs))
                lines += [f"Completion, {len(step.completion)} tokens, mean log-probability {mean:.2f}:", ""]
                lines += [*_quoted(step.text), ""]
    return "\n".join(lines)


def failed_batch(samples: Sequence[Sample], step: int, policy: Policy) -> str:
    """A batch as JSON, with everything that is needed to compute its loss again."""
    rows = [
        {
            "prompt": policy.tokenizer.decode(sample.prompt),
            "completion": policy.tokenizer.decode(sample.completion),
            "prompt_ids": sample.prompt,
            "completion_ids": sample.completion,
            **{name: values.tolist() for name, values in sample.columns.items()},
        }
        for sample in samples
    ]
    return json.dumps({"step": step, "samples": rows}, ensure_ascii=False, indent=1)


def card(run: RunFolder, config: TrainConfig, step: int, scores: Mapping[str, float]) -> str:
    """The card that lies beside a policy: base, data, command, seed, scores, date."""
    from memory_r1 import __version__

    about = run.about()
    command = about.get("command")
    rows = [
        ("Agent", config.agent),
        ("Base model", told_path(config.model)),
        ("Started from", told_path(config.start) if config.start else "the base model"),
        ("Trained by", f"{config.algorithm}, {step} of {config.steps} steps, {_kind(config)}"),
        ("Data", f"{told_argument(about.get('data', 'not named'))}, {about.get('tasks', '?')} tasks"),
        ("Data hash", about.get("data_hash", "unknown")),
        *_teacher_row(about.get("teacher")),
        ("Command", f"`{told_command(shlex.split(command)[1:])}`" if command else "called from Python"),
        ("Seed", config.seed),
        ("Date", datetime.now(UTC).date().isoformat()),
        ("memory-r1", __version__),
    ]
    held_out = [f"| {name.removeprefix('eval/')} | {value:.4f} |" for name, value in scores.items()]
    table = [
        "",
        f"Held-out scores ({about.get('held_out', '?')} tasks, greedy):",
        "",
        "| | mean |",
        "|---|---|",
        *held_out,
    ]
    return "\n".join(
        [
            f"# {config.agent}, trained by {config.algorithm}",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows),
            *(table if held_out else []),
            "",
        ]
    )


def _teacher_row(teacher: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if teacher is None:
        return []
    told = (
        f"{teacher['demonstrations']} rollouts that earned {teacher['least']:g} or more, of {teacher['samples']} each"
    )
    return [("Teacher", f"{teacher['model']}: {told}")]


def _kind(config: TrainConfig) -> str:
    return "all weights" if config.full else f"LoRA of rank {config.lora_rank}"


def _quoted(text: str) -> list[str]:
    return [f"> {line}" for line in text.splitlines()] or [">"]
