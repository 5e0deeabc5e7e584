"""Attention row by row says what attention over padded rows says."""

import pytest
import torch

from memory_r1.lm import rows
from memory_r1.lm.base import Sampling
from memory_r1.lm.loading import load_model
from memory_r1.lm.local import LocalLM
from tests.lm.conftest import save_model

CHATS = [[{"role": "user", "content": "Hm. " * count}] for count in (2, 9, 30, 4)]
SAMPLING = Sampling(max_tokens=12, logprobs=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("rows"))


def test_rows_of_unlike_length_say_what_they_say_alone(folder, monkeypatch):
    used = []
    monkeypatch.setattr(rows, "scaled_dot_product_attention", lambda *args, **kw: used.append(1) or real(*args, **kw))
    real = torch.nn.functional.scaled_dot_product_attention
    together = LocalLM(folder, prefix_bytes=0).complete(CHATS, SAMPLING)
    assert used
    alone = [LocalLM(folder, prefix_bytes=0).complete([chat], SAMPLING)[0] for chat in CHATS]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize(
    ("lengths", "columns", "starts"), [((10, 5), 10, [0, 5]), ((10, 10), 10, None), ((100, 95), 100, None)]
)
def test_little_padding_is_left_to_one_call(folder, lengths, columns, starts):
    assert rows.starts_of(load_model(folder, "cpu", "float32"), lengths, columns) == starts


def test_a_model_that_looks_back_a_little_keeps_its_masks(tmp_path):
    model = load_model(save_model(tmp_path, "mistral", sliding_window=8), "cpu", "float32")
    assert model.config._attn_implementation == "sdpa"
    assert rows.starts_of(model, (10, 5), 10) is None
