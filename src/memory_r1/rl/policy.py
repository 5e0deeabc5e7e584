"""One base model that plays every role: the policy that learns, the reference it stays near, the critic.

With LoRA each role is an adapter on the same weights: the reference is the start adapter frozen, or no adapter at all.
Fully fine-tuned, the roles that differ from the policy are copies.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch

from memory_r1.errors import ConfigError
from memory_r1.lm.adapters import check_fit, check_folder
from memory_r1.lm.base import Sampling
from memory_r1.lm.batch import Generated
from memory_r1.lm.chat import ChatTokenizer
from memory_r1.lm.generate import Generator, Prompt
from memory_r1.lm.loading import eos_ids, load_config, load_model
from memory_r1.lm.merging import merged
from memory_r1.lm.prefix import PrefixCache
from memory_r1.lm.products import ENOUGH_ROWS, quick_products
from memory_r1.lm.quiet import quiet_peft
from memory_r1.rl.attention import packed_logits, shared_prefix
from memory_r1.rl.config import TrainConfig
from memory_r1.rl.packing import Packed
from memory_r1.rl.saving import save_adapter, save_full

Role = Literal["policy", "reference", "critic"]

_PREFIX_BYTES = 512 * 2**20
_ENTROPY_ROWS = 512


class Policy:
    """A language model that can sample, score and learn.

    Args:
        config: Names the model, and says what of it is trained.

    Raises:
        ConfigError: The model is remote or has no chat template, or the start adapter is for another base.
        ModelError: The model or the adapter cannot be loaded.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        source, self.name = model_source(config.model)
        self.tokenizer = ChatTokenizer.load(source, self.name)
        self.context_length = _context_length(source)
        torch.manual_seed(config.seed)
        self.model = load_model(source, config.device, config.dtype)
        self._models: dict[Role, Any] = {}
        self._peft: Any = None
        self._value_head: torch.nn.Linear | None = None
        if config.full:
            self._start_full()
        else:
            self._start_adapters()
        if config.algorithm == "ppo":
            self._start_critic()
        if config.gradient_checkpointing:
            _checkpoint_activations(self.model)
        self._prefixes = PrefixCache(_PREFIX_BYTES)
        self._generator = Generator(
            self.model,
            detokenize=self.tokenizer.decode,
            eos=eos_ids(self.model, self.tokenizer.eos_id),
            context_length=self.context_length,
            prefixes=self._prefixes,
            batch_tokens=config.sample_tokens,
        )

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    def parameters(self, role: Role) -> list[torch.nn.Parameter]:
        """What is trained of a role: the policy's weights or adapter, or the critic's with its value head."""
        if self._peft is None:
            weights = list(self._models[role].parameters())
        else:
            weights = [weight for _, weight in self._adapter_weights(role)]
        if role == "critic" and self._value_head is not None:
            weights += list(self._value_head.parameters())
        return weights

    def sample(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Generated]:
        """Continue prompts by the policy; a prompt that comes several times is computed once."""
        weights = self._generator.packed.anew(sampling.max_tokens)
        with torch.no_grad(), self._playing("policy"), self._merged(), weights:
            return self._generator.run(prompts, sampling, "policy")

    def score(self, packed: Packed, role: Role = "policy") -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability of each scored token, and entropy where it stands, both (N,) in float32.

        The log-probability carries a gradient unless torch's gradients are off.
        """
        with self._working(role) as model:
            logits_NV = packed_logits(model, packed).float()
        normaliser_N = logits_NV.logsumexp(-1)
        chosen_N = logits_NV.gather(1, packed.targets[:, None])[:, 0]
        return chosen_N - normaliser_N, _entropy(logits_NV, normaliser_N, keep_graph=self.config.entropy > 0)

    def values(self, packed: Packed) -> torch.Tensor:
        """(N,) the critic's estimate of what comes, before each scored token; carries a gradient unless it is off."""
        assert self._value_head is not None
        with self._working("critic") as model:
            output = model.base_model(
                input_ids=packed.input_ids, position_ids=packed.position_ids, use_cache=False, calls=packed.calls
            )
        hidden_ND = output.last_hidden_state[0, packed.predictors]
        values_N: torch.Tensor = self._value_head(hidden_ND.float())[:, 0]
        return values_N

    def backward(self, loss: torch.Tensor, role: Role = "policy") -> None:
        """Add a loss's gradient; activations that are computed again meet the adapter and attention they had before."""
        with self._working(role):
            torch.autograd.backward(loss)

    def updated(self) -> None:
        """Forget what was computed with the weights before an update."""
        self._prefixes.clear()

    def save(self, folder: Path) -> None:
        """Write the policy into an empty folder: a LoRA adapter in PEFT's format, or the whole model."""
        if self._peft is None:
            save_full(self.model, self.tokenizer, folder)
        else:
            save_adapter(self._peft, "policy", folder, base=self.name)

    def state(self) -> dict[str, Any]:
        """All trained tensors by role and name, on the CPU, for a checkpoint."""
        return {
            role: {name: weight.detach().cpu() for name, weight in self._named(role)} for role in self._trained_roles()
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        with torch.no_grad():
            for role in self._trained_roles():
                for name, weight in self._named(role):
                    weight.copy_(state[role][name])
        self.updated()

    def _start_full(self) -> None:
        check_full(self.config)
        if self.config.kl > 0 and self.config.algorithm != "sft":
            self._models["reference"] = copy.deepcopy(self.model)
        self._models["policy"] = self.model.float().requires_grad_(True)

    def _start_adapters(self) -> None:
        from peft import PeftModel, get_peft_model

        with quiet_peft():
            if self.config.start is None:
                self._peft = get_peft_model(self.model, self._lora(), adapter_name="policy")
            else:
                folder = check_folder("start", self.config.start)
                check_fit(self.model, self.name, "start", folder)
                self._peft = PeftModel.from_pretrained(
                    self.model, str(folder), adapter_name="policy", is_trainable=True
                )
                self._peft.load_adapter(str(folder), adapter_name="reference", is_trainable=False)
        self._models = dict.fromkeys(("policy", "reference"), self.model)

    def _start_critic(self) -> None:
        if self._peft is None:
            self._models["critic"] = copy.deepcopy(self.model).requires_grad_(True)
        else:
            with quiet_peft():
                self._peft.add_adapter("critic", self._lora())
            self._models["critic"] = self.model
        width = int(self.model.config.get_text_config().hidden_size)
        self._value_head = torch.nn.Linear(width, 1, device=self.device, dtype=torch.float32)
        # starts at 0 everywhere, the mean of advantages to come
        torch.nn.init.zeros_(self._value_head.weight)
        torch.nn.init.zeros_(self._value_head.bias)

    def _lora(self) -> Any:
        from peft import LoraConfig

        targets = self.config.lora_targets
        return LoraConfig(
            r=self.config.lora_rank,
            lora_alpha=self.config.lora_alpha,
            target_modules=targets if isinstance(targets, str) else list(targets),
            task_type="CAUSAL_LM",
        )

    @contextmanager
    def _playing(self, role: Role) -> Iterator[Any]:
        """The model with the adapter of a role, in the mode that its use wants."""
        model = self._models[role]
        if self._peft is not None:
            tuner = self._peft.base_model
            if role in self._peft.peft_config:
                tuner.enable_adapter_layers()
                tuner.set_adapter(role, inference_mode=role == "reference")
            else:
                tuner.disable_adapter_layers()
        # transformers checkpoints activations in training mode only; there is no dropout that the mode would switch on
        model.train(self.config.gradient_checkpointing and torch.is_grad_enabled())
        try:
            yield model
        finally:
            model.eval()

    @contextmanager
    def _working(self, role: Role) -> Iterator[Any]:
        """The model in a role, over packed trees, whose many tokens are worth the quicker products."""
        with self._playing(role) as model, shared_prefix(model), quick_products(ENOUGH_ROWS, self.device):
            yield model

    def _merged(self) -> AbstractContextManager[None]:
        return nullcontext() if self._peft is None else merged(self._peft.base_model, "policy")

    def _adapter_weights(self, role: Role) -> list[tuple[str, torch.nn.Parameter]]:
        return [(name, weight) for name, weight in self.model.named_parameters() if f".{role}." in name]

    def _named(self, role: Role) -> list[tuple[str, torch.nn.Parameter]]:
        named = list(self._models[role].named_parameters()) if self._peft is None else self._adapter_weights(role)
        if role == "critic" and self._value_head is not None:
            named += [(f"value_head.{name}", weight) for name, weight in self._value_head.named_parameters()]
        return named

    def _trained_roles(self) -> tuple[Role, ...]:
        return ("policy",) if self._value_head is None else ("policy", "critic")


def check_full(config: TrainConfig) -> None:
    """See that full fine-tuning is not asked to start from an adapter.

    Raises:
        ConfigError: It is.
    """
    if config.full and config.start is not None:
        raise ConfigError("Full fine-tuning does not start from an adapter.", hint="Give the model's folder.")


def model_source(spec: str) -> tuple[str, str]:
    """Where a local model's files are, and its short name; the bundled one is fetched if need be.

    Raises:
        ConfigError: The model is remote.
    """
    if spec == "bundled":
        from memory_r1.lm.bundled import NAME, bundled_model_path

        return str(bundled_model_path()), NAME
    if spec.startswith(("openai:", "http://", "https://")):
        raise ConfigError(f"The model {spec} is remote and cannot be trained.", hint="Give a folder or a hub id.")
    source = spec.removeprefix("local:")
    return source, source.rstrip("/\\").replace("\\", "/").rpartition("/")[2].lower()


def _checkpoint_activations(model: Any) -> None:
    # transformers 5.2x renamed it
    new = getattr(model, "activation_checkpointing_enable", None)
    (new or model.gradient_checkpointing_enable)({"use_reentrant": False})


def _context_length(source: str) -> int:
    return int(getattr(load_config(source), "max_position_embeddings", None) or 2048)


def _entropy(logits_NV: torch.Tensor, normaliser_N: torch.Tensor, *, keep_graph: bool) -> torch.Tensor:
    """H = log Z - E[logit], in slices, since a vocabulary's probabilities are as large as its logits."""
    if not keep_graph:
        logits_NV, normaliser_N = logits_NV.detach(), normaliser_N.detach()
    slices = zip(torch.split(logits_NV, _ENTROPY_ROWS), torch.split(normaliser_N, _ENTROPY_ROWS), strict=True)
    return torch.cat([norm - ((rows - norm[:, None]).exp() * rows).sum(-1) for rows, norm in slices])
