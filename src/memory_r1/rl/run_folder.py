"""The folder of a training run: what was asked for, what was measured, what was learnt.

run.json             format, version, command, data, base model, scores; written anew as the run goes on
config.json          every setting
metrics.jsonl        one line a step
held-out.jsonl       one line for each held-out task, each time they are tried
curves.png           the main metrics over steps
samples/             rollouts to read
checkpoints/         to resume from; each is whole or not there
adapter/             the best policy by held-out reward, with a card
tensorboard/         the same metrics for TensorBoard
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

from memory_r1.errors import TrainingError
from memory_r1.rl.config import TrainConfig
from memory_r1.rl.disk import system_error, write_whole, writing

if TYPE_CHECKING:
    from memory_r1.rl.policy import Policy

FORMAT = 1
RUN_FILE, CONFIG_FILE, METRICS_FILE, HELD_OUT_FILE = "run.json", "config.json", "metrics.jsonl", "held-out.jsonl"
STATE_FILE = "state.pt"


class RunFolder:
    """One run's folder.

    Args:
        path: The folder; made by `create`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    @classmethod
    def create(cls, path: str | Path, config: TrainConfig, about: Mapping[str, Any]) -> RunFolder:
        """Start a new run.

        Args:
            path: A folder that is empty or not there yet.
            config: What was asked for.
            about: More for `run.json`: command, data hash, date.

        Raises:
            TrainingError: The folder is not empty or cannot be written.
        """
        run = cls(path)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            if any(run.path.iterdir()):
                raise TrainingError(
                    f"The folder {run.path} is not empty.",
                    hint="Give another --out, or --resume to go on with its run.",
                )
            write_whole(run.path / CONFIG_FILE, config.model_dump_json(indent=2))
            run.describe(format=FORMAT, **about)
            (run.path / METRICS_FILE).touch()
        except OSError as error:
            raise TrainingError(
                f"{run.path} cannot be written: {error.strerror or error}.", hint="Give another --out."
            ) from error
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open a run that was started before.

        Raises:
            TrainingError: It is not a run folder, or one of another format.
        """
        run = cls(path)
        found = run.about().get("format")
        if found != FORMAT:
            raise TrainingError(
                f"{run.path} is a run of format {found}; this version reads format {FORMAT}.",
                hint="Use the version of memory-r1 that made it, or start anew.",
            )
        return run

    def about(self) -> dict[str, Any]:
        """The content of `run.json`."""
        return self._read(RUN_FILE)

    def config(self) -> TrainConfig:
        """What the run was asked for."""
        try:
            return TrainConfig(**self._read(CONFIG_FILE))
        except ValueError as error:
            raise TrainingError(
                f"{self.path / CONFIG_FILE} is not a configuration of this version.", hint="Start the run anew."
            ) from error

    def describe(self, **more: Any) -> None:
        """Add to `run.json`."""
        known = self.about() if (self.path / RUN_FILE).exists() else {}
        write_whole(self.path / RUN_FILE, json.dumps({**known, **more}, indent=2, ensure_ascii=False))

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The lines of `metrics.jsonl`, a torn last one left out."""
        return self._rows(METRICS_FILE)

    def held_out(self) -> Iterator[dict[str, Any]]:
        """The lines of `held-out.jsonl`, a torn last one left out."""
        return self._rows(HELD_OUT_FILE)

    def add_metrics(self, row: Mapping[str, Any]) -> None:
        """Append a line to `metrics.jsonl`."""
        self._append(METRICS_FILE, [row])

    def add_held_out(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append lines to `held-out.jsonl`."""
        self._append(HELD_OUT_FILE, rows)

    def cut_rows(self, step: int) -> None:
        """Drop what was measured after a step, which a resumed run measures again."""
        for name in (METRICS_FILE, HELD_OUT_FILE):
            kept = [json.dumps(row) for row in self._rows(name) if row["step"] <= step]
            write_whole(self.path / name, "".join(f"{line}\n" for line in kept))

    def add_sample(self, step: int, text: str, *, kind: str = "step") -> None:
        """Write rollouts to read: those of a step, or of the held-out tasks at it."""
        folder = self.path / "samples"
        with writing(folder):
            folder.mkdir(exist_ok=True)
        write_whole(folder / f"{kind}-{step:06}.md", text)

    def save_checkpoint(self, step: int, state: Mapping[str, Any], *, keep: int) -> None:
        """Write a checkpoint, then drop old ones.

        Raises:
            TrainingError: The disk is full or the folder not writable; earlier checkpoints stay.
        """
        import shutil

        import torch

        from memory_r1.rl.saving import whole_folder

        folder = self.path / "checkpoints"
        with whole_folder(folder / f"step-{step:06}") as made:
            try:
                torch.save(dict(state), made / STATE_FILE)
            except RuntimeError as error:  # torch's writer reports a full disk as one
                raise system_error(made, error) from error
        with writing(folder):
            for old in self.checkpoints()[:-keep]:
                shutil.rmtree(old)

    def checkpoints(self) -> list[Path]:
        """Folders of the checkpoints, oldest first."""
        return sorted((self.path / "checkpoints").glob("step-*"))

    def load_checkpoint(self) -> dict[str, Any]:
        """The state of the last checkpoint.

        Raises:
            TrainingError: There is none, or it is damaged.
        """
        import torch

        found = self.checkpoints()
        if not found:
            raise TrainingError(f"{self.path} has no checkpoint to resume from.", hint="Start the run anew.")
        try:
            if not is_zipfile(found[-1] / STATE_FILE):
                raise ValueError("the file is cut off")
            state: dict[str, Any] = torch.load(found[-1] / STATE_FILE, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
            raise TrainingError(
                f"The checkpoint {found[-1]} cannot be read: {error}.", hint="Delete its folder to use the one before."
            ) from error
        return state

    def save_policy(self, policy: Policy, card: str) -> None:
        """Write the policy and its card, in place of the one before."""
        from memory_r1.rl.saving import whole_folder

        with whole_folder(self.path / "adapter") as made:
            policy.save(made)
            (made / "README.md").write_text(card, encoding="utf-8")

    def _rows(self, name: str) -> Iterator[dict[str, Any]]:
        path = self.path / name
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                return

    def _append(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        path = self.path / name
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{json.dumps(row)}\n" for row in rows))

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(f"{self.path} is not a run folder: no readable {name}.") from error
        if not isinstance(content, dict):
            raise TrainingError(f"{self.path} is not a run folder: {name} is no JSON object.")
        return content
