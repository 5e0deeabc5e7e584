"""Which data sets there are: where each is published, what it must hash to, and on what terms."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from memory_r1.errors import ConfigError

DATA_VARIABLE = "MEMORY_R1_DATA"
"""Names the folder for data sets in place of the one in the user's data directory."""


@dataclass(frozen=True, slots=True)
class Source:
    """One published file."""

    url: str
    """Where it is, at a fixed revision."""
    sha256: str
    """Of the file, unpacked."""
    size: int | None
    """Bytes, unpacked; None if not known."""
    file: str
    """Where it goes, below the data folder. A `.gz` beside it counts as well."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """A benchmark's data."""

    name: str
    title: str
    source: Source
    licence: str
    """Its name."""
    terms: str
    """What it allows, and whose it is."""
    home: str
    """The project's page."""
    made: Source | None = None
    """The file that our loader reads, where it is made from the published one. Its hash is that of a copy made
    elsewhere, which is taken from a folder as well."""

    @property
    def loaded(self) -> str:
        """The file that the loader reads, below the data folder."""
        return (self.made or self.source).file


DATA_SETS: Mapping[str, DataSet] = {
    "locomo": DataSet(
        "locomo",
        "LoCoMo (Maharana et al. 2024): ten very long conversations between two people, 1,986 questions",
        Source(
            "https://raw.githubusercontent.com/snap-research/LoCoMo/3eb6f2c585f5e1699204e3c3bdf7adc5c28cb376"
            "/data/locomo10.json",
            "79fa87e90f04081343b8c8debecb80a9a6842b76a7aa537dc9fdf651ea698ff4",
            2_805_274,
            "locomo/locomo10.json",
        ),
        "CC BY-NC 4.0",
        "For non-commercial use only, with attribution to Snap Research; models trained on it deserve the same caution."
        " Terms: https://creativecommons.org/licenses/by-nc/4.0/",
        "https://github.com/snap-research/LoCoMo",
    ),
    "longmemeval": DataSet(
        "longmemeval",
        "LongMemEval, cleaned release, oracle sessions (Wu et al. 2024): 500 questions, each on its own chats",
        Source(
            "https://huggingface.co/datasets/xiaowu0162/longmemeval-cleaned/resolve"
            "/98d7416c24c778c2fee6e6f3006e7a073259d48f/longmemeval_oracle.json",
            "821a2034d219ab45846873dd14c14f12cfe7776e73527a483f9dac095d38620c",
            15_388_478,
            "longmemeval/longmemeval_oracle.json",
        ),
        "MIT",
        "Free to use with its notice, commercially too. Some sessions come from ShareGPT and UltraChat, under theirs. "
        "Terms: https://github.com/xiaowu0162/LongMemEval/blob/main/LICENSE",
        "https://github.com/xiaowu0162/LongMemEval",
    ),
    "msc": DataSet(
        "msc",
        "MSC-Self-Instruct (Packer et al. 2023, over MSC by Xu et al. 2022): 500 questions, sessions 1 to 4",
        Source(
            "https://huggingface.co/datasets/MemGPT/MSC-Self-Instruct/resolve"
            "/5138f416f8fa76b75b2e080da87e8a8e346e1500/msc_self_instruct.jsonl",
            "d3dbea36848b41dc46c0f1548d0ebf74eeaf6390d6f3fe9318e8480dc984495e",
            None,
            "msc/msc_self_instruct.jsonl",
        ),
        "Apache-2.0",
        "The questions are under Apache-2.0. The conversations are MSC's, from ParlAI (MIT); that archive has no data "
        "licence of its own. Terms: https://www.apache.org/licenses/LICENSE-2.0",
        "https://huggingface.co/datasets/MemGPT/MSC-Self-Instruct",
        made=Source(
            "",
            "b6797632eb8cfc0d1c1647160f89ef6117a166580d57843f11c3968c1a9350aa",
            3_813_521,
            "msc/msc_self_instruct_reconstructed_s1-4.jsonl",
        ),
    ),
}
"""The data sets by name."""


def data_folder() -> Path:
    """Where data sets are kept: `MEMORY_R1_DATA`, or else a folder in the user's data directory."""
    chosen = os.environ.get(DATA_VARIABLE)
    usual = Path(platformdirs.user_data_dir("memory-r1", appauthor=False)) / "datasets"
    return Path(chosen).expanduser() if chosen else usual


def find_data_set(name: str) -> DataSet:
    """A data set by name.

    Raises:
        ConfigError: There is none.
    """
    if name not in DATA_SETS:
        raise ConfigError(f"There is no data set {name!r}.", hint=f"There are: {', '.join(DATA_SETS)}.")
    return DATA_SETS[name]
