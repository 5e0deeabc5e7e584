import json
import shutil

import pytest

from memory_r1.errors import ConfigError, ModelError
from memory_r1.lm.base import Sampling
from memory_r1.lm.local import LocalLM
from memory_r1.lm.quiet import quiet_peft

CHATS = [
    [{"role": "system", "content": "Decide what to do with the fact."}, {"role": "user", "content": fact}]
    for fact in ("Ann likes tea", "Bob moved to Oslo in May")
]
LONG = Sampling(max_tokens=16, logprobs=True)


def tokens(lm, adapter):
    return [answer.token_ids for answer in lm.complete(CHATS, LONG, adapter=adapter)]


def by_peft(base, folder, lm):
    """What transformers and PEFT alone give."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    if folder is not None:
        with quiet_peft():
            model = PeftModel.from_pretrained(model, folder).eval()
    found = []
    for chat in CHATS:
        ids = torch.tensor([lm.tokenizer.encode(chat)[0]])
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False
            )
        found.append(tuple(output[0, ids.shape[1] :].tolist()))
    return found


def test_switches_between_adapters_and_base(tiny, adapters):
    lm = LocalLM(tiny, adapters=adapters, device="cpu")
    expected = {name: by_peft(tiny, folder, lm) for name, folder in {None: None, **adapters}.items()}
    assert len({str(found) for found in expected.values()}) == 3
    for name in (None, "manager", "answerer", None, "answerer", "manager", "manager", None):
        assert tokens(lm, name) == expected[name]


def test_adapters_keep_their_prefixes_apart(tiny, adapters):
    lm = LocalLM(tiny, adapters=adapters, device="cpu")
    tokens(lm, None)
    first = lm.complete(CHATS[:1], LONG, adapter="manager")[0]
    again = lm.complete(CHATS[:1], LONG, adapter="manager")[0]
    assert first.cached_tokens == 0 < again.cached_tokens
    assert again.token_ids == first.token_ids


def test_adapter_is_added_and_replaced_later(tiny, adapters):
    lm = LocalLM(tiny, device="cpu")
    base = tokens(lm, None)
    with pytest.raises(ConfigError, match="none was given"):
        tokens(lm, "manager")
    lm.load_adapter("manager", adapters["manager"])
    first = tokens(lm, "manager")
    lm.load_adapter("manager", adapters["answerer"])
    assert lm.adapters == ("manager",)
    assert base != first != tokens(lm, "manager") == by_peft(tiny, adapters["answerer"], lm)
    assert tokens(lm, None) == base


@pytest.mark.parametrize("changes", [{"hidden_size": 48}, {"intermediate_size": 80}, {"layers": 1}])
def test_adapter_of_another_base(make_model, make_adapter, tiny, tmp_path, changes):
    larger = {"layers": 3} if changes == {"layers": 1} else changes
    other = make_model(tmp_path / "other", **larger)
    foreign = make_adapter(tmp_path / "adapter", other)
    lm = LocalLM(tiny, adapters={"manager": foreign}, device="cpu")
    with pytest.raises(ConfigError, match="another base model"):
        lm.complete(CHATS, LONG)


def test_adapter_of_another_base_leaves_a_loaded_model_alone(make_model, make_adapter, tiny, adapters, tmp_path):
    lm = LocalLM(tiny, adapters=adapters, device="cpu")
    before = tokens(lm, "manager")
    foreign = make_adapter(tmp_path / "adapter", make_model(tmp_path / "other", hidden_size=48))
    with pytest.raises(ConfigError, match="another base model"):
        lm.load_adapter("manager", foreign)
    assert tokens(lm, "manager") == before


def test_not_an_adapter(tiny, adapters, tmp_path):
    with pytest.raises(ConfigError, match=r"adapter_config\.json"):
        LocalLM(tiny, adapters={"manager": tmp_path})
    kind = tmp_path / "kind"
    shutil.copytree(adapters["manager"], kind)
    config = json.loads((kind / "adapter_config.json").read_text())
    (kind / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "IA3"}))
    with pytest.raises(ConfigError, match="only LoRA"):
        LocalLM(tiny, adapters={"manager": kind})
    (kind / "adapter_config.json").write_text("{")
    with pytest.raises(ConfigError, match="unreadable"):
        LocalLM(tiny, adapters={"manager": kind})


def test_damaged_adapter(tiny, adapters, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(adapters["manager"], broken)
    (broken / "adapter_model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ModelError, match="damaged"):
        LocalLM(tiny, adapters={"manager": broken}, device="cpu").complete(CHATS, LONG)
