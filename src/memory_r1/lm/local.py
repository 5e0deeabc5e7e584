"""A language model in this process: transformers, with LoRA adapters by PEFT."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_r1.errors import ConfigError, ModelError, PromptTooLongError
from memory_r1.lm.adapters import AdapterSet, check_folder
from memory_r1.lm.base import Completion, Message, Sampling
from memory_r1.lm.chat import ChatTokenizer
from memory_r1.lm.prefix import PrefixCache
from memory_r1.lm.request import check_sampling

if TYPE_CHECKING:
    from memory_r1.lm.batch import Generated
    from memory_r1.lm.engine import Engine
    from memory_r1.lm.generate import Prompt

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(slots=True)
class _Loaded:
    """What the first use brings into memory."""

    model: Any
    adapters: AdapterSet
    prefixes: PrefixCache
    engine: Engine


class LocalLM:
    """A causal LM from a folder or the Hugging Face hub. Nothing is loaded before it is needed.

    Calls from several threads are safe; what is asked at the same time, in the same way and of the same adapter, is
    answered in one batch.

    Args:
        model: Folder with the model, or its id on the hub.
        adapters: LoRA adapters by the name that `complete` knows them by.
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the best there is.
        dtype: `float32`, `bfloat16`, `float16`, or `auto`: float32 on a CPU, bfloat16 elsewhere.
        threads: CPU threads; this sets torch's count for the whole process. None leaves it alone.
        context_length: Lower limit than the model's own, in tokens.
        batch_tokens: Most tokens, prompts and completions together, that one batch may hold in memory.
        prefix_bytes: Most memory for keys and values kept between calls; 0 switches the reuse off.
        name: For logs; the last part of the path or id if None.

    Raises:
        ConfigError: An option is unknown, or an adapter folder is not one.

    Example:
        >>> LocalLM("HuggingFaceTB/SmolLM2-135M-Instruct").name
        'smollm2-135m-instruct'
    """

    def __init__(
        self,
        model: str | Path,
        *,
        adapters: Mapping[str, str | Path] | None = None,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
        context_length: int | None = None,
        batch_tokens: int = 8192,
        prefix_bytes: int = 256 * 2**20,
        name: str | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise ConfigError(f"Unknown dtype {dtype!r}.", hint=f"Known: {', '.join(DTYPES)}.")
        for option, value in (("threads", threads), ("context_length", context_length), ("batch_tokens", batch_tokens)):
            if value is not None and value < 1:
                raise ConfigError(f"{option} is {value}.", hint="Give at least 1.")
        self._model_id = model
        self._name = name or str(model).rstrip("/\\").replace("\\", "/").rpartition("/")[2].lower()
        self._adapter_paths = {key: check_folder(key, path) for key, path in (adapters or {}).items()}
        self._device, self._dtype, self._threads = device, dtype, threads
        self._limit, self._batch_tokens, self._prefix_bytes = context_length, batch_tokens, prefix_bytes
        self._lock = threading.RLock()
        self._tokenizer_lock = threading.Lock()
        self._tokenizer: ChatTokenizer | None = None
        self._loaded: _Loaded | None = None
        self._context_length: int | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """Short name, known without loading."""
        return self._name

    @property
    def context_length(self) -> int:
        """The model's own limit, or the lower one that was asked for. Reads the configuration, not the weights."""
        if self._context_length is None:
            own = self._own_context_length()
            self._context_length = min(own, self._limit or own)
        return self._context_length

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names that `complete` takes as `adapter`."""
        return tuple(self._adapter_paths)

    def complete(
        self,
        chats: Sequence[Sequence[Message]],
        sampling: Sampling | None = None,
        *,
        adapter: str | None = None,
    ) -> list[Completion]:
        """Answer each chat, in order; see `LanguageModel.complete`.

        Raises:
            PromptTooLongError: A chat leaves no room for an answer in the context window.
            ConfigError: The adapter is unknown, or made for another base model.
            InvalidInputError: A chat or the sampling is malformed.
            ModelError: The model cannot be loaded, or was closed.
        """
        sampling = check_sampling(sampling)
        if adapter is not None and adapter not in self._adapter_paths:
            known = ", ".join(self._adapter_paths) or "none was given"
            raise ConfigError(f"Unknown adapter {adapter!r}.", hint=f"Known: {known}.")
        if not chats:
            return []
        prompts = self._encode(chats)
        with self._lock:
            engine = self._load().engine
        results = engine.run(prompts, sampling, adapter)
        return [_completion(prompt, result, sampling) for prompt, result in zip(prompts, results, strict=True)]

    def count_tokens(self, chat: Sequence[Message]) -> int:
        """Exact number of tokens of the chat as a prompt. Loads the tokenizer, not the weights."""
        return len(self.tokenizer.encode(chat)[0])

    def load_adapter(self, name: str, path: str | Path) -> None:
        """Add a LoRA adapter, or replace the one of the same name.

        Raises:
            ConfigError: It is not an adapter, or made for another base model (told at once if the model is loaded).
        """
        folder = check_folder(name, path)
        with self._lock:
            if self._loaded is not None:
                with self._loaded.engine.alone():
                    self._loaded.adapters.load(name, folder)
                    self._loaded.prefixes.clear()
            self._adapter_paths[name] = folder

    def close(self) -> None:
        """Free the weights; a second call does nothing, and any other use is an error from then on."""
        with self._lock:
            self._closed = True
            self._loaded = None
            self._tokenizer = None

    @property
    def tokenizer(self) -> ChatTokenizer:
        """The model's tokenizer, loaded at first use."""
        with self._tokenizer_lock:
            self._check_open()
            if self._tokenizer is None:
                self._tokenizer = ChatTokenizer.load(self._source(), self._name)
            return self._tokenizer

    def _source(self) -> str | Path:
        """Where the files are; a subclass may have to fetch them first."""
        return self._model_id

    def _check_open(self) -> None:
        if self._closed:
            raise ModelError(f"The model {self._name} was closed.", hint="Make a new one.")

    def _own_context_length(self) -> int:
        file = Path(self._source()) / "config.json"
        if file.is_file():
            config = json.loads(file.read_text(encoding="utf-8"))
            config = config.get("text_config") or config
            found = config.get("max_position_embeddings")
        else:
            from memory_r1.lm.loading import load_config

            found = getattr(load_config(self._source()), "max_position_embeddings", None)
        return int(found) if found else 2048

    def _encode(self, chats: Sequence[Sequence[Message]]) -> list[Prompt]:
        from memory_r1.lm.generate import Prompt

        prompts = []
        for index, chat in enumerate(chats):
            tokens, head = self.tokenizer.encode(chat)
            if len(tokens) >= self.context_length:
                raise PromptTooLongError(
                    f"Chat {index} has {len(tokens)} tokens; {self._name} takes {self.context_length} with the answer.",
                    hint="Shorten it, or use a model with a longer context.",
                )
            prompts.append(Prompt(tokens, head))
        return prompts

    def _load(self) -> _Loaded:
        self._check_open()
        if self._loaded is None:
            import torch

            from memory_r1.lm.engine import Engine
            from memory_r1.lm.generate import Generator
            from memory_r1.lm.loading import eos_ids, load_model

            if self._threads is not None:
                torch.set_num_threads(self._threads)
            source, tokenizer = self._source(), self.tokenizer
            model = load_model(source, self._device, self._dtype)
            adapters = AdapterSet(model, self._name)
            for name, path in self._adapter_paths.items():
                adapters.load(name, path)
            prefixes = PrefixCache(self._prefix_bytes)
            generator = Generator(
                model,
                detokenize=tokenizer.decode,
                eos=eos_ids(model, tokenizer.eos_id),
                context_length=self.context_length,
                prefixes=prefixes,
                batch_tokens=self._batch_tokens,
            )
            self._loaded = _Loaded(model, adapters, prefixes, Engine(generator, adapters))
        return self._loaded


def _completion(prompt: Prompt, result: Generated, sampling: Sampling) -> Completion:
    return Completion(
        text=result.text,
        prompt_tokens=len(prompt.tokens),
        completion_tokens=len(result.token_ids),
        finish=result.finish,
        seconds=result.seconds,
        cached_tokens=result.cached,
        token_ids=tuple(result.token_ids) if sampling.logprobs else None,
        logprobs=tuple(result.logprobs) if sampling.logprobs else None,
    )
