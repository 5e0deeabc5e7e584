"""Turns a quantised GGUF file into a plain transformers folder. Imports torch: load it lazily."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, modeling_gguf_pytorch_utils

from memory_r1.errors import ModelError
from memory_r1.lm.quiet import quiet_transformers


def dequantize(gguf: Path, target: Path) -> None:
    """Write float32 weights, configuration and tokenizer of a Llama model's GGUF file.

    Args:
        gguf: The file.
        target: An existing folder.

    Raises:
        ModelError: The installed transformers reads the file in a way that does not come out right.
    """
    with quiet_transformers(), _quiet_gguf():
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        loaded = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        config = loaded.config
        # without this the saved model would be taken for a quantised one
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        config._name_or_path = ""
        # the loaded object keeps the marks of its origin and does not save cleanly; a fresh one with its weights does
        fresh = LlamaForCausalLM(config)
        fresh.load_state_dict(loaded.state_dict())
        fresh.save_pretrained(str(target))
        _split_digits(tokenizer)
        tokenizer.save_pretrained(str(target))
        _check(AutoTokenizer.from_pretrained(str(target)))


@contextmanager
def _quiet_gguf() -> Iterator[None]:
    """The GGUF reader draws its bar by tqdm itself, past transformers' switch."""
    bar = modeling_gguf_pytorch_utils.tqdm
    modeling_gguf_pytorch_utils.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        modeling_gguf_pytorch_utils.tqdm = bar


def _split_digits(tokenizer: Any) -> None:
    """SmolLM2 was trained with every digit cut off before all else; transformers does not read that from the file."""
    from tokenizers.pre_tokenizers import ByteLevel, Digits
    from tokenizers.pre_tokenizers import Sequence as Steps

    steps = Steps([Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.backend_tokenizer.pre_tokenizer = steps


def _check(tokenizer: Any) -> None:
    text = tokenizer.apply_chat_template(
        [{"role": "system", "content": "S"}, {"role": "user", "content": "U 12"}],
        add_generation_prompt=True,
        tokenize=False,
    )
    expected = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU 12<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    marks = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    sound = text == expected and tokenizer.decode(ids) == text and tokenizer.eos_token == "<|im_end|>"
    if not sound or [token for token in ids if token in marks] != [marks[0], marks[1]] * 2 + [marks[0]]:
        raise ModelError(
            "The bundled model's tokenizer did not survive the conversion from GGUF.",
            hint="Install the transformers version of the lock file.",
        )
