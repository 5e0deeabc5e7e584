"""Packed groups must be indistinguishable from unpacked ones, in values and in gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from memory_r1.rl.attention import completion_mask, shared_prefix
from memory_r1.rl.packing import Group, batches, pack

VOCABULARY = 61
tokens = st.integers(0, VOCABULARY - 1)
groups = st.builds(
    Group,
    st.lists(tokens, min_size=1, max_size=9).map(tuple),
    st.lists(st.lists(tokens, min_size=1, max_size=5).map(tuple), min_size=1, max_size=4).map(tuple),
)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        initializer_range=0.3,  # far from uniform, so that a wrong mask shows
    )
    return LlamaForCausalLM(config)


def packed_logprobs(model: LlamaForCausalLM, batch: list[Group]) -> torch.Tensor:
    packed = pack(batch)
    with shared_prefix(model):
        logits = model(
            input_ids=packed.input_ids,
            position_ids=packed.position_ids,
            use_cache=False,
            logits_to_keep=packed.predictors,
            spans=packed.spans,
            masks=[completion_mask(span, packed.input_ids.device) for span in packed.spans],
        ).logits[0]
    return logits.log_softmax(-1).gather(1, packed.targets[:, None])[:, 0]


def unpacked_logprobs(model: LlamaForCausalLM, batch: list[Group]) -> torch.Tensor:
    pieces = []
    for group in batch:
        for completion in group.completions:
            logits = model(input_ids=torch.tensor([group.prompt + completion])).logits[0, len(group.prompt) - 1 : -1]
            pieces.append(logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0])
    return torch.cat(pieces)


@settings(deadline=None, max_examples=40)
@given(batch=st.lists(groups, min_size=1, max_size=3))
def test_values_and_gradients_equal_the_unpacked_ones(model: LlamaForCausalLM, batch: list[Group]) -> None:
    packed, unpacked = packed_logprobs(model, batch), unpacked_logprobs(model, batch)
    assert torch.allclose(packed, unpacked, atol=1e-4)

    # all of one sign: with both, equal tokens would cancel and leave only rounding to compare
    weights = torch.linspace(0.5, 1.5, len(packed))
    parameters = list(model.parameters())
    ours = torch.cat([g.flatten() for g in torch.autograd.grad((packed * weights).sum(), parameters)])
    theirs = torch.cat([g.flatten() for g in torch.autograd.grad((unpacked * weights).sum(), parameters)])
    assert (ours - theirs).norm() <= 1e-4 * theirs.norm() + 1e-7


def test_the_model_attends_as_before_afterwards(model: LlamaForCausalLM) -> None:
    before = model(input_ids=torch.tensor([[1, 2, 3]])).logits
    packed_logprobs(model, [Group((1, 2), ((3,),))])
    assert torch.equal(model(input_ids=torch.tensor([[1, 2, 3]])).logits, before)


def test_packed_attention_without_a_layout_is_refused(model: LlamaForCausalLM) -> None:
    with shared_prefix(model), pytest.raises(ValueError, match="packed groups only"):
        model(input_ids=torch.tensor([[1, 2, 3]]))


@given(many=st.lists(groups, max_size=8), limit=st.integers(1, 40))
def test_batches_keep_order_and_limit(many: list[Group], limit: int) -> None:
    packs = batches(many, limit)
    assert [index for pack_ in packs for index in pack_] == list(range(len(many)))
    assert all(sum(many[index].tokens for index in pack_) <= limit or len(pack_) == 1 for pack_ in packs)


@pytest.mark.parametrize(("prompt", "completions"), [((), ((1,),)), ((1,), ()), ((1,), ((),))])
def test_an_empty_group_is_refused(prompt: tuple[int, ...], completions: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="none of them empty"):
        Group(prompt, completions)
