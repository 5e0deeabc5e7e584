"""The policies that come with the package."""

import json
from pathlib import Path

import pytest

from memory_r1.policies import AGENTS, chosen, shipped

LARGEST = 25 * 10**6


def test_every_agent_is_trained():
    assert set(shipped()) == set(AGENTS)


def test_named_adapters_take_the_place_of_shipped_ones_and_none_takes_them_away():
    assert chosen("bundled", {}) == shipped()
    assert chosen("bundled", {"manager": "/somewhere"})["manager"] == "/somewhere"
    assert "manager" not in chosen("bundled", {"manager": "none"})
    assert chosen("Qwen/Qwen2.5-7B-Instruct", {}) == {}
    assert chosen("Qwen/Qwen2.5-7B-Instruct", {"manager": "/somewhere"}) == {"manager": "/somewhere"}


@pytest.mark.parametrize("agent", sorted(shipped()))
def test_every_policy_has_a_card_and_is_for_the_bundled_model(agent):
    folder = Path(shipped()[agent])
    card = (folder / "README.md").read_text(encoding="utf-8")
    for told in ("Command", "Seed", "Data hash", "Date"):
        assert f"| {told} |" in card
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == "smollm2-135m-instruct"


def test_all_policies_together_are_small():
    sizes = [file.stat().st_size for folder in shipped().values() for file in Path(folder).glob("*.safetensors")]
    assert 0 < sum(sizes) <= LARGEST
