"""Both agents in turns: the Answer Agent learns for some steps, then the Memory Manager against that reader, frozen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from memory_r1.errors import TrainingError
from memory_r1.rl.saving import whole_folder
from memory_r1.rl.trainer import Trainer

READER_FOLDER = "reader-now"


def train_jointly(
    answerer: Trainer,
    manager: Trainer,
    use_reader: Callable[[Path], None],
    *,
    every: int,
    on_turn: Callable[[Trainer], None] = lambda trainer: None,
) -> bool:
    """Alternate two trainers until both are done or one is stopped; each keeps its own run folder.

    Args:
        answerer: Goes first.
        manager: Its rewards come from the reader that `use_reader` changes.
        use_reader: Puts a folder's adapter in the reader's place.
        every: Steps of a turn. Others saw turns of one step to be unstable.
        on_turn: Called with the trainer whose turn begins.

    Returns:
        Whether both are done.

    Raises:
        TrainingError: A turn has no step.
    """
    if every < 1:
        raise TrainingError(f"A turn of {every} steps cannot be taken.", hint="Give 1 or more; 10 is usual.")
    while True:
        place = min(answerer.progress.step, manager.progress.step) // every + 1
        on_turn(answerer)
        answerer_done = answerer.train(until=max(answerer.progress.step, place * every))
        if answerer.stopped:
            return False
        with whole_folder(answerer.run.path / READER_FOLDER) as folder:
            answerer.policy.save(folder)
        use_reader(answerer.run.path / READER_FOLDER)
        on_turn(manager)
        manager_done = manager.train(until=place * every)
        if manager.stopped:
            return False
        if answerer_done and manager_done:
            return True
