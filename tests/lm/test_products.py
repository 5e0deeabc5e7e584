"""The quicker matrix products and merged adapters change the time that a model takes, not what it says."""

import pytest
import torch

from memory_r1.lm import adapters
from memory_r1.lm.base import Sampling
from memory_r1.lm.bundled import BundledLM
from memory_r1.lm.products import ENOUGH_ROWS, quick_products
from memory_r1.policies import shipped

CPU = torch.device("cpu")


def test_quick_products_are_as_exact_as_the_usual_ones():
    source = torch.Generator().manual_seed(1)
    left, right = torch.randn(600, 576, generator=source), torch.randn(576, 1536, generator=source)
    with quick_products(600, CPU):
        quick = left @ right
    exact = (left.double() @ right.double()).float()
    assert (quick - exact).norm() <= 1e-5 * exact.norm()


@pytest.mark.parametrize(("rows", "device"), [(ENOUGH_ROWS - 1, CPU), (ENOUGH_ROWS, torch.device("cuda"))])
def test_few_rows_and_other_devices_are_left_alone(rows, device):
    with quick_products(rows, device):
        assert torch.get_float32_matmul_precision() == "highest"


def test_a_precision_of_the_users_choice_stays():
    torch.set_float32_matmul_precision("high")
    try:
        with quick_products(ENOUGH_ROWS, CPU):
            assert torch.get_float32_matmul_precision() == "high"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_the_setting_comes_back_after_an_error():
    with pytest.raises(RuntimeError), quick_products(ENOUGH_ROWS, CPU):
        raise RuntimeError
    assert torch.get_float32_matmul_precision() == "highest"


def test_an_adapter_says_the_same_merged_or_not(monkeypatch):
    lm = BundledLM(adapters={"answerer": shipped()["answerer"]})
    chats = [[{"role": "user", "content": f"Memories:\n[0] Ann has {n} dogs.\n\nHow many dogs?"}] for n in range(2, 5)]
    sampling = Sampling(max_tokens=12, logprobs=True)
    found = {}
    for label, least in (("apart", 10**9), ("merged", 1)):
        monkeypatch.setattr(adapters, "_WORTH_MERGING", least)
        found[label] = lm.complete(chats, sampling, adapter="answerer")
    base = lm.complete(chats, sampling)
    lm.close()
    assert [one.text for one in found["merged"]] == [one.text for one in found["apart"]]
    for merged, apart in zip(found["merged"], found["apart"], strict=True):
        assert merged.logprobs == pytest.approx(apart.logprobs, abs=1e-3)
    # merged for the call alone: the base model is as it was
    assert [one.text for one in base] != [one.text for one in found["merged"]]
