import gzip
import json
import shutil
import sys

import pytest

from memory_r1.bench.loading import draw, open_benchmark
from memory_r1.bench.specs import find_maker, read_specs, weights_hash
from memory_r1.data.jsonl import to_lines
from memory_r1.errors import ConfigError, InvalidInputError


@pytest.fixture
def adapter(tmp_path):
    """Makes a folder that looks like a LoRA adapter."""

    def make(name, weights=b"weights"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
        (folder / "adapter_model.safetensors").write_bytes(weights)
        return str(folder)

    return make


def test_locomo_is_the_papers_test_set_by_default(data_folder, monkeypatch):
    asked = open_benchmark(f"locomo:{data_folder}")
    assert (asked.name, asked.part, len(asked.conversations), asked.questions) == ("locomo", "test", 8, 1307)
    with_all = open_benchmark(f"locomo:{data_folder}", adversarial=True)
    assert with_all.questions == 1307 + 375
    assert with_all.digest != asked.digest
    monkeypatch.setenv("MEMORY_R1_DATA", str(data_folder))
    assert open_benchmark("locomo").digest == asked.digest
    one = open_benchmark("locomo", conversations=["conv-49"])
    assert [conversation.id for conversation in one.conversations] == ["conv-49"]
    assert one.questions == 156
    assert open_benchmark("locomo", part="all").questions == 1540
    assert open_benchmark("locomo", part="all", adversarial=True).questions == 1986
    sample = open_benchmark("locomo", limit=100, seed=3)
    assert sample.sample.categories == {
        "multi-hop": (18, 239),
        "temporal": (20, 258),
        "open-domain": (6, 83),
        "single-hop": (56, 727),
    }


def test_first_sessions_are_asked_what_they_tell(data_folder):
    asked = open_benchmark(f"locomo:{data_folder}", sessions=2)
    assert (len(asked.conversations), asked.questions) == (8, 83)
    assert all(len(one.sessions) == 2 for one in asked.conversations)
    for one in asked.conversations:
        told = {turn.id for turn in one.turns}
        assert all(question.evidence and set(question.evidence) <= told for question in one.questions)
    assert asked.told()["sessions"] == 2
    assert asked.digest != open_benchmark(f"locomo:{data_folder}").digest
    everything = open_benchmark(f"locomo:{data_folder}", sessions=100)
    assert everything.digest == open_benchmark(f"locomo:{data_folder}").digest
    with pytest.raises(ConfigError, match=r"--sessions 0 reads nothing"):
        open_benchmark(f"locomo:{data_folder}", sessions=0)


def test_longmemeval_is_its_test_half_with_abstentions(data_folder):
    asked = open_benchmark(f"longmemeval:{data_folder}")
    assert asked.part == "test"
    assert 245 <= asked.questions <= 255
    assert any(question.answer is None for one in asked.conversations for question in one.questions)
    with pytest.raises(ConfigError, match=r"LoCoMo"):
        open_benchmark(f"longmemeval:{data_folder}", adversarial=True)


def test_msc_is_asked_whole(data_folder):
    assert open_benchmark(f"msc:{data_folder}").questions == 500


def test_own_files_and_made_up_talk(tmp_path, make_talk):
    one = make_talk("c", said=["Ann: Hi."], questions=[("Q?", "A", "x")])
    silent = make_talk("silent", said=["Ann: Hi."], questions=[])
    lines = [line for talk in (one, silent) for line in to_lines(talk)]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines), encoding="utf-8")
    asked = open_benchmark(str(tmp_path / "mine.jsonl"))
    assert (asked.name, asked.part, asked.questions) == ("mine.jsonl", "all", 1)
    assert [talk.id for talk in asked.conversations] == ["c"]
    with pytest.raises(ConfigError, match=r"has no conversation 'd'.*It has: c"):
        open_benchmark(str(tmp_path / "mine.jsonl"), conversations=["d"])
    with pytest.raises(InvalidInputError, match=r"no question"):
        open_benchmark(str(tmp_path / "mine.jsonl"), conversations=["silent"])
    made = open_benchmark("synthetic:1@5")
    assert made.part == "test"
    assert [talk.id for talk in made.conversations] == ["synthetic-test-5"]


def test_what_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMORY_R1_DATA", str(tmp_path))
    with pytest.raises(InvalidInputError, match=r"memory-r1 data download locomo"):
        open_benchmark("locomo")
    with pytest.raises(ConfigError, match=r"no part 'dev'"):
        open_benchmark("synthetic:1", part="dev")
    with pytest.raises(ConfigError, match=r"names no data"):
        open_benchmark("nonsense")


@pytest.fixture
def audit(data_folder):
    if not (data_folder / "locomo_audit" / "errors.json").is_file():
        pytest.skip("MEMORY_R1_DATA holds no locomo_audit/errors.json")
    return data_folder


def test_corrected_labels_leave_out_and_replace_and_are_told(data_folder, audit):
    usual = open_benchmark(f"locomo:{data_folder}")
    asked = open_benchmark(f"locomo:{data_folder}", audit=audit)
    assert (asked.labels.cited, asked.labels.replaced, asked.labels.left_out) == (42, 39, 41)
    assert asked.questions == usual.questions - 41
    assert asked.digest != usual.digest
    told = asked.told()["labels"]
    assert (told["name"], told["replaced"]) == ("locomo-audit", 39)
    assert told["sha256"].startswith("f298ef46")
    assert usual.told()["labels"] is None
    with pytest.raises(ConfigError, match=r"--audit is for LoCoMo"):
        open_benchmark("synthetic:1", audit=audit)


def test_one_draw_asks_the_same_under_both_labels(data_folder, audit):
    usual = open_benchmark(f"locomo:{data_folder}", limit=200, seed=1)
    asked = open_benchmark(f"locomo:{data_folder}", limit=200, seed=1, audit=audit)
    kept, all_of_them = ({one.id for talk in data.conversations for one in talk.questions} for data in (asked, usual))
    assert kept < all_of_them
    assert len(all_of_them - kept) == asked.labels.left_out
    assert asked.sample == usual.sample


@pytest.mark.parametrize("kind", ["locomo", "longmemeval", "msc"])
def test_whether_the_file_is_the_published_one_is_told(data_folder, kind):
    assert open_benchmark(f"{kind}:{data_folder}", limit=1).told()["published"] is True


def test_an_edited_file_is_told_from_the_published_one(data_folder, tmp_path, monkeypatch):
    edited = json.loads((data_folder / "locomo" / "locomo10.json").read_text(encoding="utf-8"))
    edited[3]["qa"][0]["answer"] = "something else"
    folder = tmp_path / "locomo"
    folder.mkdir()
    (folder / "locomo10.json").write_text(json.dumps(edited), encoding="utf-8")
    assert open_benchmark(f"locomo:{tmp_path}", limit=1).published is False
    # by its bare name, the published file is meant
    monkeypatch.setenv("MEMORY_R1_DATA", str(tmp_path))
    with pytest.raises(InvalidInputError, match=r"locomo10.json is damaged: its SHA-256 .*data download locomo"):
        open_benchmark("locomo")
    (folder / "locomo10.json").unlink()
    with (
        gzip.open(folder / "locomo10.json.gz", "wb") as packed,
        (data_folder / "locomo" / "locomo10.json").open("rb") as f,
    ):
        shutil.copyfileobj(f, packed)
    assert open_benchmark("locomo", limit=1).published is True
    assert open_benchmark("synthetic:1").published is None


def test_a_draw_keeps_proportions_and_the_order(make_talk):
    from memory_r1.bench.loading import BenchData

    kinds = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    one = make_talk("c1", said=["Ann: Hi."], questions=[(f"Q{n}?", "A", kind) for n, kind in enumerate(kinds)])
    whole = BenchData("toy", "all", (one,))
    kept = draw(whole, 20, seed=1)
    assert kept.sample.categories == {"a": (12, 60), "b": (6, 30), "c": (2, 10)}
    assert (kept.sample.of, kept.questions) == (100, 20)
    places = [int(question.text[1:-1]) for question in kept.conversations[0].questions]
    assert places == sorted(places)
    assert draw(whole, 20, seed=1).digest == kept.digest
    assert draw(whole, 20, seed=2).digest != kept.digest
    assert draw(whole, 7, seed=1).questions == 7
    assert draw(whole, 100, seed=1) is whole
    with pytest.raises(ConfigError):
        draw(whole, 0, seed=1)


def test_systems_are_read_with_their_adapters_and_options(adapter):
    first, second = adapter("first"), adapter("second")
    specs = read_specs(
        ["rag", "memory-r1", "memory-r1-base-manager", "ppo=memory-r1"],
        [f"manager={first}", f"answerer={first}", f"rag:answerer={second}", f"ppo:manager={second}"],
        ["ppo:cut=paper", "all:cut=20"],
    )
    assert [(one.name, one.method) for one in specs] == [
        ("rag", "rag"),
        ("memory-r1", "memory-r1"),
        ("memory-r1-base-manager", "memory-r1-base-manager"),
        ("ppo", "memory-r1"),
    ]
    assert specs[0].adapters == {"answerer": second}
    assert specs[1].adapters == {"manager": first, "answerer": first}
    assert specs[2].adapters == {"answerer": first}
    assert specs[3].adapters == {"manager": second, "answerer": first}
    assert specs[3].options == {"cut": "20"}
    everyone = read_specs(["none", "rag"], [f"all:answerer={first}"])
    assert [one.adapters for one in everyone] == [{"answerer": first}] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["nonsense"],), "no system 'nonsense'"),
        ((["rag", "rag"],), "two systems 'rag'"),
        ((["a/b=rag"],), "cannot be called"),
        ((["all=rag"],), "cannot be called 'all'"),
        ((["rag"], ["reader=x"]), "names no agent"),
        ((["rag"], ["manager"]), "cannot be read"),
        ((["rag"], ["none:manager=x"]), "no system 'none'"),
        ((["rag"], [], ["k=3"]), "cannot be read"),
        ((["no_such_module:System"],), "no module 'no_such_module'"),
        ((["json:System"],), "no attribute 'System'"),
        ((["sys:path"],), "no class"),
    ],
)
def test_what_cannot_be_read_is_told(arguments, message):
    with pytest.raises(ConfigError, match=message):
        read_specs(*arguments)


def test_a_module_of_the_folder_one_is_in_is_found(tmp_path, monkeypatch):
    (tmp_path / "mysystem_here.py").write_text("class MySystem:\n    name = 'my-system'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert read_specs(["mysystem_here:MySystem"])[0].name == "my-system"
    assert find_maker("mysystem_here:MySystem").name == "my-system"


def test_an_adapter_is_known_by_its_content(adapter):
    assert weights_hash(adapter("a")) == weights_hash(adapter("b"))
    assert weights_hash(adapter("c", b"others")) != weights_hash(adapter("d"))
    with pytest.raises(ConfigError, match=r"no adapter_config"):
        weights_hash("nowhere")
