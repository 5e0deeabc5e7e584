"""LoRA adapters of a local model: checked against the base before they are loaded, switched per call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from memory_r1.errors import ConfigError, ModelError
from memory_r1.lm.quiet import quiet_peft

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"

_WORTH_MERGING = 2048
"""Merging takes as long as the adapter's own products take for about half as many tokens."""


def check_folder(name: str, path: str | Path) -> Path:
    """The folder of an adapter, if it looks like one.

    Raises:
        ConfigError: A file is missing, or it is not a LoRA adapter.
    """
    folder = Path(path)
    for file in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / file).is_file():
            raise ConfigError(
                f"The adapter {name!r} has no {file} in {folder}.",
                hint="Give a folder that PEFT's save_pretrained wrote.",
            )
    try:
        kind = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")).get("peft_type")
    except (ValueError, AttributeError, OSError) as error:
        raise ConfigError(f"The adapter {name!r} has an unreadable {CONFIG_FILE}: {error}.") from error
    if kind != "LORA":
        raise ConfigError(f"The adapter {name!r} is of type {kind}; only LoRA is supported.")
    return folder


class AdapterSet:
    """The LoRA adapters that are loaded into one model.

    Args:
        model: A transformers model; PEFT puts its layers into it in place.
        model_name: For messages.
    """

    def __init__(self, model: Any, model_name: str) -> None:
        self._model = model
        self._model_name = model_name
        self._peft: Any = None
        self._names: list[str] = []
        self._current: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""
        return tuple(self._names)

    def load(self, name: str, path: str | Path) -> None:
        """Load an adapter, or replace the one of the same name.

        Raises:
            ConfigError: It is not an adapter, or was made for another base model.
            ModelError: Its file is damaged.
        """
        folder = check_folder(name, path)
        check_fit(self._model, self._model_name, name, folder)
        if name in self._names:
            self.switch(None)
            self._peft.delete_adapter(name)
            self._names.remove(name)
        try:
            with quiet_peft():
                self._load(name, folder)
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"The adapter {name!r} does not fit {self._model_name}: {error}") from error
        self._names.append(name)
        self._current = name
        self.switch(None)

    def switch(self, name: str | None) -> None:
        """Switch to an adapter, or to the base model for None.

        Raises:
            ConfigError: No adapter has this name.
        """
        if name is not None and name not in self._names:
            known = ", ".join(self._names) or "none is loaded"
            raise ConfigError(f"Unknown adapter {name!r}.", hint=f"Known: {known}.")
        if name == self._current:
            return
        tuner = self._peft.base_model
        if name is None:
            tuner.disable_adapter_layers()
        else:
            tuner.enable_adapter_layers()
            tuner.set_adapter(name, inference_mode=True)
        self._current = name

    def worth_merging(self, tokens: int) -> bool:
        """Whether so many tokens of prompts are worth merging the adapter that is switched on."""
        return self._current is not None and tokens >= _WORTH_MERGING

    def merged(self) -> AbstractContextManager[None]:
        """Have the adapter that is switched on merged into the weights while the context is open."""
        from memory_r1.lm.merging import merged

        return nullcontext() if self._current is None else merged(self._peft.base_model, self._current)

    def _load(self, name: str, folder: Path) -> None:
        from peft import PeftModel

        if self._peft is None:
            self._peft = PeftModel.from_pretrained(self._model, str(folder), adapter_name=name)
        else:
            self._peft.base_model.enable_adapter_layers()
            self._peft.load_adapter(str(folder), adapter_name=name)
            self._peft.base_model.set_adapter(name, inference_mode=True)
        self._peft.eval()


def check_fit(model: Any, model_name: str, name: str, folder: Path) -> None:
    """See that an adapter was made for a model.

    PEFT reports a misfit late, half loaded, and layers that it does not find not at all.

    Args:
        model: A transformers model.
        model_name: For messages.
        name: The adapter's name, for messages.
        folder: The adapter.

    Raises:
        ConfigError: It was made for another base model.
        ModelError: Its file is damaged.
    """
    modules = dict(model.named_modules())
    for key, shape in _shapes(name, folder).items():
        target, _, part = key.removeprefix("base_model.model.").rpartition(".lora_")
        if not target:
            continue
        module = modules.get(target)
        weight = getattr(getattr(module, "base_layer", module), "weight", None)
        if weight is None:
            raise _misfit(name, model_name, f"it adapts {target}, which the model does not have")
        inner = shape[1] if part.startswith("A") else shape[0]
        expected = weight.shape[1] if part.startswith("A") else weight.shape[0]
        if part in ("A.weight", "B.weight") and inner != expected:
            raise _misfit(name, model_name, f"{target} has the size {expected}, the adapter wants {inner}")


def _misfit(name: str, model: str, why: str) -> ConfigError:
    return ConfigError(f"The adapter {name!r} was made for another base model than {model}: {why}.")


def _shapes(name: str, folder: Path) -> Mapping[str, tuple[int, ...]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(folder / WEIGHTS_FILE), framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"The adapter {name!r} in {folder} is damaged: {error}.", hint="Copy or train it again."
        ) from error
