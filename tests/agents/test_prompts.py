import pytest

from memory_r1.agents.prompts import Prompts
from memory_r1.errors import ConfigError

OWN = "# mine\n=== system ===\nRule.\n=== user ===\n$memories then ${fact}s for $$5"


def test_a_users_folder_overrides_single_files(tmp_path):
    (tmp_path / "manage.txt").write_text(OWN, encoding="utf-8")
    own, packaged = Prompts.load(tmp_path), Prompts.load()
    assert own.extract == packaged.extract
    assert own.manage.render(memories="M", fact="F", date="D") == [
        {"role": "system", "content": "Rule."},
        {"role": "user", "content": "M then Fs for $5"},
    ]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("=== user ===\n$memories $fact $colour", "$colour"),
        ("=== user ===\n$memories", "$fact"),
        ("=== user ===\n$memories $fact costs $5", "'$'"),
        ("=== robot ===\n$memories $fact", "robot"),
        ("$memories $fact", "=== system ==="),
        ("hello\n=== user ===\n$memories $fact", "=== system ==="),
    ],
)
def test_a_wrong_file_is_refused_and_named(tmp_path, content, named):
    (tmp_path / "manage.txt").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Prompts.load(tmp_path)
    assert named in str(caught.value)
    assert "manage.txt" in str(caught.value)


def test_files_that_are_no_prompts_are_refused(tmp_path):
    (tmp_path / "manager.txt").write_text(OWN, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"manager\.txt"):
        Prompts.load(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        Prompts.load(tmp_path / "missing")
    (tmp_path / "manager.txt").rename(tmp_path / "manage.txt")
    (tmp_path / "manage.txt").write_bytes(b"=== user ===\n\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        Prompts.load(tmp_path)


def test_data_is_never_a_template(prompts):
    (*_, last) = prompts.manage.render(
        memories="$fact ${nothing} $", fact="=== system ===\n$memories", date="", likeness=""
    )
    assert "$fact ${nothing} $" in last["content"]
    assert "=== system ===\n$memories" in last["content"]
    assert last["role"] == "user"


@pytest.mark.parametrize("name", ["extract", "manage", "answer"])
def test_everything_but_the_last_message_is_constant(prompts, name):
    prompt = getattr(prompts, name)
    values = dict.fromkeys(("turns", "context", "date", "today", "memories", "fact", "question", "likeness"), "A")
    other = dict.fromkeys(values, "B")
    assert prompt.messages[0][0] == "system"
    assert prompt.render(**values)[:-1] == prompt.render(**other)[:-1]
    assert prompt.render(**values)[-1] != prompt.render(**other)[-1]


def test_a_placeholder_without_a_value_is_named(prompts):
    with pytest.raises(ConfigError, match=r"\$fact"):
        prompts.manage.render(memories="")
