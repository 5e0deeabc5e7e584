"""Time of one GRPO step with and without shared prefixes: scoring with its gradient, and sampling.

    python benchmarks/rl_step.py                      # P = 300 and 1,000, C = 24, G = 8
    python benchmarks/rl_step.py --trl PYTHON         # TRL's GRPOTrainer as well, in an environment that has it
    python benchmarks/rl_step.py --prompt 300 --group 4 8 16

A step is what GRPO does with one group: G completions of C tokens for a prompt of P tokens are sampled, then scored
forwards and backwards. Unpacked, that is G(P + C) tokens; packed, P + GC. The ratio of these is the most that sharing
can give. Both are run by the same engine on the same model, so that the ratio shows sharing alone.

The floor of a step is the floating point operations of the packed tokens over the rate at which this machine multiplies
matrices of the model's shape. Ours keeps freed memory, as `memory-r1 train` does. Peak memory is that of a process of
its own which does nothing but the packed step; TRL learns from as many completions at a time as are 2,600 tokens.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from memory_r1.lm.base import Sampling
from memory_r1.lm.generate import Prompt
from memory_r1.lm.products import quick_products
from memory_r1.rl.config import make_config
from memory_r1.rl.grpo import GRPO
from memory_r1.rl.heap import keep_freed_memory
from memory_r1.rl.policy import Policy, model_source
from memory_r1.rl.samples import Sample, make_batches

LIMIT = 1_000_000


def timed(repeat, work):
    """Best wall time of some repeats, in seconds, and the last result."""
    best = float("inf")
    for _ in range(repeat):
        started = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - started)
    return best, result


def samples_for(prompt, completions):
    return [
        Sample(prompt, one, {"old": torch.full((len(one),), -3.0), "advantage": torch.full((len(one),), (-1.0) ** n)})
        for n, one in enumerate(completions)
    ]


def step(algorithm, samples, packs):
    """Forward and backward over all samples; returns the gradient, to see that both ways give the same."""
    weights = algorithm.policy.parameters("policy")
    for weight in weights:
        weight.grad = None
    for pack in packs:
        for batch in make_batches(pack, LIMIT):
            algorithm.backward(batch, batch.share(samples), 0)
    return torch.cat([weight.grad.flatten() for weight in weights])


def texts(seed):
    """Makes token sequences of a length."""
    source = torch.Generator().manual_seed(seed)
    return lambda count: tuple(torch.randint(1000, 40_000, (count,), generator=source).tolist())


def sampling_of(completion_tokens):
    return Sampling(max_tokens=completion_tokens, temperature=1.0, seed=1, logprobs=True)


def matmul_rate(rows):
    """Floating point operations a second of float32 products of the model's shape."""
    up, down = torch.nn.Linear(576, 1536, bias=False), torch.nn.Linear(1536, 576, bias=False)
    states = torch.randn(rows, 576)
    with torch.inference_mode(), quick_products(rows, states.device):
        spent, _ = timed(20, lambda: down(up(states)))
    return 4 * rows * 576 * 1536 / spent


def step_flops(config, prompt_tokens, completion_tokens, group):
    """Of a packed step: forwards and, to the activations alone since the weights are frozen, backwards."""
    hidden, layers = config.hidden_size, config.num_hidden_layers
    kv = hidden * config.num_key_value_heads // config.num_attention_heads
    weights = layers * (2 * hidden * (hidden + kv) + 3 * hidden * config.intermediate_size)
    written = group * completion_tokens
    seen = prompt_tokens**2 / 2 + written * (prompt_tokens + completion_tokens / 2)
    products = 4 * weights * (prompt_tokens + written) + 4 * config.vocab_size * hidden * written
    return products + 12 * hidden * layers * seen


def peak(policy, prompt_tokens, completion_tokens, group):
    """Most memory, in GiB, that this process took for sampling and a packed step."""
    text, config = texts(prompt_tokens), policy.config
    prompt = text(prompt_tokens)
    policy.sample([Prompt(prompt)] * group, sampling_of(completion_tokens))
    samples = samples_for(prompt, [text(completion_tokens) for _ in range(group)])
    step(GRPO(policy, config), samples, [samples])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def peak_apart(options, row):
    """The same, in a process of its own."""
    line = [sys.executable, __file__, "--peak", "--model", options.model, "--threads", str(options.threads)]
    shape = ["--prompt", str(row["P"]), "--completion", str(row["C"]), "--group", str(row["G"])]
    return float(subprocess.run([*line, *shape], capture_output=True, text=True, check=True).stdout)


def measure(policy, prompt_tokens, completion_tokens, group, repeat):
    text = texts(prompt_tokens)
    prompt = text(prompt_tokens)
    completions = [text(completion_tokens) for _ in range(group)]
    samples = samples_for(prompt, completions)
    algorithm = GRPO(policy, policy.config)
    packed, ours = timed(repeat, lambda: step(algorithm, samples, [samples]))
    unpacked, theirs = timed(repeat, lambda: step(algorithm, samples, [[one] for one in samples]))
    sampling = sampling_of(completion_tokens)
    flops = step_flops(policy.model.config, prompt_tokens, completion_tokens, group)

    def sample(prompts):
        policy.updated()
        return [len(one.token_ids) for one in policy.sample(prompts, sampling)]

    shared, lengths = timed(repeat, lambda: sample([Prompt(prompt)] * group))
    # one last token of their own keeps prompts from being recognised as one, and the prefix cache is switched off
    policy._prefixes.min_tokens = LIMIT
    alone = [Prompt((*prompt[:-1], token)) for token in text(group)]
    apart, _ = timed(repeat, lambda: sample(alone))
    policy._prefixes.min_tokens = 16
    return {
        "P": prompt_tokens,
        "C": completion_tokens,
        "G": group,
        "token_ratio": group * (prompt_tokens + completion_tokens) / (prompt_tokens + group * completion_tokens),
        "step_packed": packed,
        "step_unpacked": unpacked,
        "step_floor": flops / matmul_rate(prompt_tokens + group * completion_tokens),
        "sampling_shared": shared,
        "sampling_apart": apart,
        "sampled_tokens": sum(lengths),
        "gradient_error": ((ours - theirs).norm() / theirs.norm()).item(),
    }


TRL = """
import json, resource, sys, time, torch
torch.set_num_threads(int(sys.argv[6]))
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer
path, P, C, G, repeat = sys.argv[1], *map(int, sys.argv[2:6])
parts = next(n for n in (1, 2, 4, 8, 16) if n == G or G // n * (P + C) <= 2600)
tok = AutoTokenizer.from_pretrained(path)
ids = torch.randint(1000, 40000, (P - 30,)).tolist()
text = tok.decode(ids)
config = GRPOConfig(output_dir="trl-out", use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none",
    per_device_train_batch_size=G // parts, gradient_accumulation_steps=parts, num_generations=G,
    max_completion_length=C, max_steps=repeat + 1, save_strategy="no",
    logging_steps=1, beta=0.0, learning_rate=1e-6)
spent = {"gen": [], "step": []}
class Timed(GRPOTrainer):
    def _generate_and_score_completions(self, inputs):
        t = time.perf_counter(); out = super()._generate_and_score_completions(inputs)
        spent["gen"].append(time.perf_counter() - t); spent["P"] = out["prompt_ids"].shape[1]; return out
    def training_step(self, *a, **k):
        t = time.perf_counter(); out = super().training_step(*a, **k)
        spent["step"].append(time.perf_counter() - t); return out
trainer = Timed(model=path, args=config, train_dataset=Dataset.from_dict({"prompt": [text] * (repeat + 1)}),
    reward_funcs=lambda completions, **k: [float(i) for i in range(len(completions))],
    processing_class=tok,
    peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
trainer.train()
steps = [sum(spent["step"][at:at + parts]) for at in range(0, len(spent["step"]), parts)]
learn = [s - g for s, g in zip(steps, spent["gen"])]
print("RESULT" + json.dumps({"sampling": min(spent["gen"][1:]), "step": min(learn[1:]), "P": spent["P"],
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


def trl(python, path, row, repeat):
    """The same step by TRL in another environment; its optimiser step is part of neither time."""
    line = [python, "-c", TRL, path, *map(str, (row["P"], row["C"], row["G"], repeat, torch.get_num_threads()))]
    done = subprocess.run(line, capture_output=True, text=True)
    found = [text for text in done.stdout.splitlines() if text.startswith("RESULT")]
    if not found:
        sys.exit(done.stderr[-2000:])
    return json.loads(found[-1].removeprefix("RESULT"))


def shown(row):
    token = row["token_ratio"]
    lines = [f"P {row['P']}, C {row['C']}, G {row['G']}: token ratio {token:.2f}"]
    for name, ours, other in (
        ("step", row["step_packed"], row["step_unpacked"]),
        ("sampling", row["sampling_shared"], row["sampling_apart"]),
    ):
        ratio = other / ours
        lines.append(
            f"  {name:9} {other:7.2f} s -> {ours:6.2f} s: {ratio:.2f}x, {ratio / token:.0%} of the token ratio"
        )
        if "trl" in row:
            ratio = row["trl"][name] / ours
            lines.append(
                f"  {'':9} TRL {row['trl'][name]:6.2f} s: {ratio:.2f}x, {ratio / token:.0%} of the token ratio"
            )
    lines.append(f"  floor of the packed step {row['step_floor']:.2f} s: {row['step_packed'] / row['step_floor']:.2f}x")
    lines.append(
        f"  peak memory {row['peak']:.2f} GiB" + (f", TRL {row['trl']['peak']:.2f} GiB" if "trl" in row else "")
    )
    lines.append(f"  gradients differ by {row['gradient_error']:.1e}, {row['sampled_tokens']} tokens sampled")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--prompt", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--completion", type=int, nargs="+", default=[24])
    parser.add_argument("--group", type=int, nargs="+", default=[8])
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--trl", metavar="PYTHON", help="a Python that has trl, datasets and peft")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    policy = Policy(make_config(model=options.model, device="cpu", dtype="float32", kl=0.0))
    if options.peak:
        print(peak(policy, options.prompt[0], options.completion[0], options.group[0]))
        return
    measure(policy, 64, 4, 2, 1)  # the first calls set things up
    rows = []
    for prompt in options.prompt:
        for completion in options.completion:
            for group in options.group:
                row = measure(policy, prompt, completion, group, options.repeat)
                row["peak"] = peak_apart(options, row)
                if options.trl:
                    row["trl"] = trl(options.trl, model_source(options.model)[0], row, options.repeat)
                rows.append(row)
                print(shown(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
