"""Writes folders whole or not at all, and adapters as PEFT does."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memory_r1.lm.adapters import WEIGHTS_FILE
from memory_r1.lm.chat import ChatTokenizer
from memory_r1.lm.quiet import quiet_transformers
from memory_r1.rl.disk import writing

_UNFINISHED = ".writing-"


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the target's place when the block ends well, and is gone when it does not.

    Raises:
        TrainingError: It cannot be written; what was there before is still there.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in target.parent.glob(f"{_UNFINISHED}*"):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=_UNFINISHED))
        try:
            made = temporary / "made"
            made.mkdir()
            yield made
            _flush(made)
            if target.exists():
                os.replace(target, temporary / "old")
            os.replace(made, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def save_adapter(peft: Any, name: str, folder: Path, *, base: str) -> None:
    """Write one adapter of a PEFT model into a folder, where `LocalLM` and PEFT find it under any name."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    config = peft.peft_config[name].__class__(**peft.peft_config[name].to_dict())
    config.base_model_name_or_path = base
    config.inference_mode = True
    tensors = get_peft_model_state_dict(peft, adapter_name=name, save_embedding_layers=False)
    config.save_pretrained(str(folder))
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    save_file(plain, str(folder / WEIGHTS_FILE), metadata={"format": "pt"})


def save_full(model: Any, tokenizer: ChatTokenizer, folder: Path) -> None:
    """Write a whole model and its tokenizer into a folder."""
    with quiet_transformers():
        model.save_pretrained(str(folder))
    tokenizer.save(folder)


def _flush(folder: Path) -> None:
    """Have the files on disk before the rename makes them count."""
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
