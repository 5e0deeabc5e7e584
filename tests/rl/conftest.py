"""A tiny random Llama with a character tokenizer, saved as a folder, and toy tasks that it can learn in seconds."""

from __future__ import annotations

import json

import pytest
import torch

from memory_r1.rl.prompt_task import PromptTask

TEMPLATE = (
    "{% for m in messages %}{{ '<s>' + m['role'] + '\n' + m['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}"
)


def save_tiny(folder, seed=0, hidden=48, initializer_range=0.1, **changes):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={token: n for n, token in enumerate(["<s>", "</s>", *letters])}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(["<s>", "</s>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=TEMPLATE
    )
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": initializer_range,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    torch.manual_seed(seed)
    LlamaForCausalLM(LlamaConfig(**sizes | changes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    return str(save_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def toy_tasks():
    """Say the letter a, whatever is asked: one of 258 tokens, several chances."""
    return [
        PromptTask(id=f"toy-{n}", prompt=f"Question {n}?", answer="a", max_tokens=6, reward="contains")
        for n in range(8)
    ]


@pytest.fixture
def task_file(tmp_path, toy_tasks):
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(task.model_dump_json(by_alias=True) + "\n" for task in toy_tasks), encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[0])["answer"] == "a"
    return path


@pytest.fixture(scope="session")
def make_tiny():
    """Saves a tiny random model into a folder."""
    return save_tiny


@pytest.fixture(scope="session")
def roomy_model(tmp_path_factory, make_tiny):
    """A tiny model whose context window holds real prompts."""
    return str(make_tiny(tmp_path_factory.mktemp("roomy"), max_position_embeddings=16_384))
