"""Who is told of a run while it goes on: TensorBoard, Weights & Biases, the person at the terminal."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from memory_r1.errors import ConfigError
from memory_r1.rl.disk import writing

if TYPE_CHECKING:
    from rich.console import Console


class Watcher(Protocol):
    """Is told of every step."""

    def step(self, row: Mapping[str, float]) -> None:
        """A step is done; `row` is its line of metrics."""
        ...

    def note(self, text: str) -> None:
        """Something a person should know."""
        ...

    def close(self) -> None:
        """The run is over or has failed."""
        ...


class TensorBoard:
    """Writes an event file, each step at once.

    Args:
        folder: Where to.
        after: The step that a resumed run goes on from, None for a new one. What earlier files say of later steps is
            hidden.

    Raises:
        TrainingError: The file cannot be written.
    """

    def __init__(self, folder: Path, *, after: int | None = None) -> None:
        # tensorboardX's own SummaryWriter writes in a thread, where a full disk goes unseen and then ends the program
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        # a name of its own, or a second writer of the same second would take the file's place
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
        with writing(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = RecordWriter(str(self._path))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if after is not None:
            log = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=time.time(), step=after + 1, session_log=log))

    def step(self, row: Mapping[str, float]) -> None:
        """Write a step's metrics.

        Raises:
            TrainingError: They cannot be written.
        """
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in row.items() if name != "step"]
        self._write(Event(wall_time=time.time(), step=int(row["step"]), summary=Summary(value=values)))

    def note(self, text: str) -> None:
        """Not for machines."""

    def close(self) -> None:
        """Close the file; what could not be written was told when it happened."""
        with suppress(OSError):
            self._writer.close()

    def _write(self, event: Any) -> None:
        with writing(self._path):
            self._writer.write(event.SerializeToString())
            self._writer.flush()


class WandB:
    """Sends metrics to Weights & Biases.

    Args:
        project: Name of the project there.
        name: Name of the run.
        config: The run's settings.

    Raises:
        ConfigError: The package `wandb` is not installed.
    """

    def __init__(self, project: str, name: str, config: Mapping[str, Any]) -> None:
        check_wandb()
        wandb: Any = importlib.import_module("wandb")
        self._run = wandb.init(project=project, name=name, config=dict(config))

    def step(self, row: Mapping[str, float]) -> None:
        """Send a step's metrics."""
        self._run.log({name: value for name, value in row.items() if name != "step"}, step=int(row["step"]))

    def note(self, text: str) -> None:
        """Not for machines."""

    def close(self) -> None:
        """End the run there."""
        self._run.finish()


def check_wandb() -> None:
    """See that Weights & Biases can be used.

    Raises:
        ConfigError: The package `wandb` is not installed.
    """
    if importlib.util.find_spec("wandb") is None:
        raise ConfigError("Weights & Biases is not installed.", hint="Run `pip install wandb`, or leave --wandb out.")


_SHOWN = (
    ("reward", "charts/reward", "{:.3f}"),
    ("held-out", "eval/reward", "{:.3f}"),
    ("loss", "losses/loss", "{:.3f}"),
    ("KL", "losses/reference_kl", "{:.4f}"),
    ("entropy", "losses/entropy", "{:.2f}"),
    ("length", "charts/length", "{:.1f}"),
    ("tok/s", "charts/tokens_per_second", "{:.0f}"),
)


class ProgressBar:
    """A bar with the last step's metrics; where no terminal is, a line a step.

    Args:
        console: Where to.
        steps: Steps of the run.
        done: Steps done before it was resumed.
    """

    def __init__(self, console: Console, steps: int, done: int = 0) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console, self._steps = console, steps
        self._seen: dict[str, float] = {}
        self._bar = Progress(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("sampling", total=steps, completed=done)
        self._bar.start()

    def step(self, row: Mapping[str, float]) -> None:
        """Show a step's metrics; a held-out score stays until the next one."""
        self._seen = {**{name: value for name, value in self._seen.items() if name == "eval/reward"}, **row}
        texts = [f"{label} {form.format(self._seen[name])}" for label, name, form in _SHOWN if name in self._seen]
        mix = "/".join(f"{self._seen.get(f'ops/{op}', 0):.0%}" for op in ("ADD", "UPDATE", "DELETE", "NOOP"))
        if any(name.startswith("ops/") for name in self._seen):
            texts.append(f"A/U/D/N {mix}")
        shown = "  ".join(texts)
        self._bar.update(self._task, completed=row["step"], description=shown)
        if not self._console.is_terminal:
            self._console.print(f"step {int(row['step'])}/{self._steps}  {shown}")

    def note(self, text: str) -> None:
        """Print above the bar."""
        self._console.print(text)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()
