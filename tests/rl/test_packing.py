"""Packed groups must be indistinguishable from unpacked ones, in values and in gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from memory_r1.rl import packing
from memory_r1.rl.attention import packed_logits, shared_prefix
from memory_r1.rl.packing import Node, batches, group, pack, share_beginning

VOCABULARY = 61
tokens = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=7).map(tuple)
leaves = st.builds(Node, tokens, st.just(()), st.just(True))
groups = st.builds(Node, tokens, st.lists(leaves, min_size=1, max_size=4).map(tuple))
trees = groups | st.builds(Node, tokens, st.lists(groups | leaves, min_size=1, max_size=3).map(tuple))


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


def picked(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]


def packed_logprobs(model: LlamaForCausalLM, batch: list[Node]) -> torch.Tensor:
    packed = pack(batch)
    with shared_prefix(model):
        return picked(packed_logits(model, packed), packed.targets)


def unpacked_logprobs(model: LlamaForCausalLM, batch: list[Node]) -> torch.Tensor:
    pieces = []

    def walk(node: Node, before: tuple[int, ...]) -> None:
        if node.scored:
            logits = model(input_ids=torch.tensor([before + node.tokens])).logits[0, len(before) - 1 : -1]
            pieces.append(picked(logits, torch.tensor(node.tokens)))
        for child in node.children:
            walk(child, before + node.tokens)

    for tree in batch:
        walk(tree, ())
    return torch.cat(pieces)


@settings(deadline=None, max_examples=40)
@given(batch=st.lists(trees, min_size=1, max_size=3), together=st.sampled_from([1, 6, 256]))
def test_values_and_gradients_equal_the_unpacked_ones(
    model: LlamaForCausalLM, batch: list[Node], together: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_SHARED_CALL", together)
        check_equal(model, batch)


def check_equal(model: LlamaForCausalLM, batch: list[Node]) -> None:
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
    packed_logprobs(model, [group([1, 2], [[3]])])
    assert torch.equal(model(input_ids=torch.tensor([[1, 2, 3]])).logits, before)


def test_packed_attention_without_a_layout_is_refused(model: LlamaForCausalLM) -> None:
    with shared_prefix(model), pytest.raises(ValueError, match="packed trees only"):
        model(input_ids=torch.tensor([[1, 2, 3]]))


@settings(deadline=None, max_examples=20)
@given(many=st.lists(groups, min_size=1, max_size=4), beginning=tokens)
def test_sharing_a_beginning_changes_nothing_but_the_size(
    model: LlamaForCausalLM, many: list[Node], beginning: tuple[int, ...]
) -> None:
    apart = [Node(beginning + tree.tokens, tree.children) for tree in many]
    together = share_beginning(apart, least=1)
    assert torch.allclose(packed_logprobs(model, together), unpacked_logprobs(model, apart), atol=1e-4)
    if len(many) > 1:
        saved = sum(tree.size for tree in apart) - sum(tree.size for tree in together)
        assert saved >= (len(many) - 1) * len(beginning)


@given(many=st.lists(trees, max_size=8), limit=st.integers(1, 60))
def test_batches_keep_order_and_limit(many: list[Node], limit: int) -> None:
    packs = batches(many, limit)
    assert [index for indices in packs for index in indices] == list(range(len(many)))
    for indices in packs:
        together = share_beginning([many[index] for index in indices], least=1)
        assert sum(tree.size for tree in together) <= limit or len(indices) == 1


def test_what_cannot_be_packed_is_refused() -> None:
    for wrong in (
        lambda: group([], [[1]]),
        lambda: group([1], []),
        lambda: group([1], [[]]),
        lambda: pack([]),
        lambda: pack([Node((1,), scored=True)]),
    ):
        with pytest.raises(ValueError, match="pack"):
            wrong()
