"""Weights laid out anew give the same products, for as long as they are the model's weights."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from memory_r1.lm import packed
from memory_r1.lm.packed import PackedWeights
from tests.lm.conftest import save_model

IDS = torch.tensor([[3, 14, 15, 92, 65, 35]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("packed"), hidden_size=128, intermediate_size=256)


@pytest.fixture
def model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)


def logits(model):
    with torch.inference_mode():
        return model(input_ids=IDS).logits


def packed_soon(model, steps=packed._WORTH_PACKING + 1):
    weights = PackedWeights(model)
    with weights.used(steps):
        pass
    return weights


def test_the_products_are_the_same(model):
    plain, weights = logits(model), packed_soon(model)
    assert weights.ready
    with weights.used():
        assert model.lm_head.__dict__["forward"]
        found = logits(model)
    assert torch.allclose(found, plain, atol=1e-4)
    assert torch.equal(logits(model), plain)


def test_a_few_tokens_are_not_worth_it(model):
    assert not packed_soon(model, packed._WORTH_PACKING).ready


def test_other_weights_are_laid_out_anew_and_the_first_come_back(model):
    weights = packed_soon(model)
    with weights.used():
        before = logits(model)
    kept = model.lm_head.weight.data
    with weights.anew(packed._WORTH_PACKING):
        model.lm_head.weight.data = kept * 2
        with weights.used(1):
            assert torch.allclose(logits(model), before * 2, atol=1e-3)
        model.lm_head.weight.data = kept
    with weights.used():
        assert torch.equal(logits(model), before)


def test_the_model_is_itself_again_after_an_error(model):
    weights = packed_soon(model)
    with pytest.raises(RuntimeError), weights.used():
        raise RuntimeError
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_half_precision_and_large_models_stay_as_they_are(model, monkeypatch):
    monkeypatch.setattr(packed, "_MOST_BYTES", 1000)
    assert not packed_soon(model).ready
    monkeypatch.undo()
    assert not packed_soon(model.bfloat16()).ready
