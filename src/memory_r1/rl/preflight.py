"""Looks at everything that a run needs and that is known beforehand, so that no error comes after hours of work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memory_r1.errors import TrainingError
from memory_r1.lm.adapters import check_fit, check_folder
from memory_r1.lm.chat import ChatTokenizer
from memory_r1.rl.config import TrainConfig


def check_free(out: str | Path) -> None:
    """See that a new run can have a folder.

    Raises:
        TrainingError: There is something in it, or it cannot be made.
    """
    path = Path(out).expanduser()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise TrainingError(f"The folder {out} is not empty.", hint="Give another --out, or --resume it.")
    above = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise TrainingError(f"The folder {out} cannot be made: {above} is not writable.", hint="Give another --out.")


def check_model(config: TrainConfig, adapters: Mapping[str, str | None]) -> None:
    """See that a model can be trained and that adapters were made for it, without loading its weights.

    Args:
        config: Names the model.
        adapters: Folders by what they are for, e.g. `reader`; None and `none` are passed over.

    Raises:
        ConfigError: The model is remote or has no chat template, or an adapter is none or is for another base.
        ModelError: The model or an adapter's file cannot be read.
    """
    from memory_r1.policies import NONE
    from memory_r1.rl.policy import check_full, model_source

    source, name = model_source(config.model)
    ChatTokenizer.load(source, name)
    check_full(config)
    folders = {use: check_folder(use, path) for use, path in adapters.items() if path not in (None, NONE)}
    if folders:
        model = _skeleton(source)
        for use, folder in folders.items():
            check_fit(model, name, use, folder)


def _skeleton(source: str) -> Any:
    """The model's layers and their sizes, without weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from memory_r1.lm.quiet import quiet_transformers

    with quiet_transformers(), torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source))
