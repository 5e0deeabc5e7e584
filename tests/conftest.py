"""Shared by all tests: a clean environment, the real models once a run, the benchmark data if it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

_KEPT = ("MEMORY_R1_DATA", "MEMORY_R1_CACHE", "MEMORY_R1_WHEELS")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests reaches them, and no test reaches that person's memories."""
    for name in list(os.environ):
        if name.startswith("MEMORY_R1_") and name not in _KEPT:
            monkeypatch.delenv(name)
    monkeypatch.setenv("MEMORY_R1_STORE", str(tmp_path / "default.db"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with real benchmark data."""
    named = os.environ.get("MEMORY_R1_DATA")
    if not named or not (Path(named) / "locomo" / "locomo10.json").is_file():
        pytest.skip("MEMORY_R1_DATA does not name a folder with locomo/locomo10.json")
    return Path(named)


@pytest.fixture(scope="session")
def bundled_lm() -> Iterator[object]:
    """The bundled language model, loaded once."""
    import torch

    from memory_r1.lm.factory import make_lm

    torch.set_num_threads(1)
    lm = make_lm("bundled")
    yield lm
    lm.close()
