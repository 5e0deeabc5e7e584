import signal
import subprocess
import sys

import pytest

from memory_r1.cli import options
from memory_r1.cli.app import COMMANDS
from memory_r1.errors import StoreError

COMMAND = [sys.executable, "-c", "from memory_r1.cli import main; main()"]


def shell(*arguments, **keywords):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, **keywords)


def test_help_imports_nothing_heavy():
    code = "import atexit, sys\natexit.register(lambda: print(*sys.modules))\nfrom memory_r1.cli import main\nmain()"
    command = [sys.executable, "-c", code, "--help"]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "memory_r1.cli.demo" in modules
    heavy = {"torch", "transformers", "numpy", "pydantic", "openai", "numkong", "sqlite3", "huggingface_hub"}
    assert heavy.isdisjoint(modules)


@pytest.mark.parametrize("name", [name for name, *_ in COMMANDS] + ["models", "models fetch"])
def test_every_command_explains_itself(run, name):
    assert "Usage" in run(*name.split(), "--help").stdout


def test_version(run):
    from memory_r1 import __version__

    assert run("--version").stdout == f"memory-r1 {__version__}\n"


def test_an_error_is_one_line_and_a_hint(run, monkeypatch):
    def broken(**settings):
        raise StoreError("The disk is full.", hint="Free some space.")

    monkeypatch.setattr(options, "make_memory", broken)
    result = run("search", "dog", status=2)
    assert result.stderr.splitlines() == ["Error: The disk is full.", "Hint: Free some space."]
    assert result.stdout == ""
    with pytest.raises(StoreError):
        run("--debug", "search", "dog")


def test_settings_errors_are_told(run):
    assert "Hint: " in run("search", "dog", "--embedder", "nonsense", status=2).stderr


def test_a_foreign_file_is_told(run, home):
    (home / "notes.txt").write_text("These are my notes, not a database at all.\n" * 30, encoding="utf-8")
    result = run("list", "--store", home / "notes.txt", status=2)
    assert "notes.txt" in result.stderr
    assert "notes, not a database" in (home / "notes.txt").read_text(encoding="utf-8")


def test_undecodable_arguments_do_not_end_in_a_traceback(home):
    # a lone byte above 127 arrives as a lone surrogate
    result = subprocess.run([*COMMAND, "add", "--raw", b"caf\xe9"], capture_output=True, timeout=60, check=False)
    assert result.returncode == 2
    assert b"Traceback" not in result.stderr
    assert b"Error: " in result.stderr


def test_a_real_process_reads_and_writes(home):
    added = shell("add", "--raw", "-", input="Zoë likes 犬.", encoding="utf-8")
    assert (added.returncode, added.stderr) == (0, "no model was called\n")
    found = shell("search", "likes", encoding="utf-8")
    assert found.stdout.endswith("Zoë likes 犬.\n")
    assert "\x1b" not in found.stdout


def test_a_reader_that_leaves_early_is_no_error(home):
    for number in range(3):
        shell("add", "--raw", f"Note {number}.")
    command = f'"{sys.executable}" -c "from memory_r1.cli import main; main()" list | head -1'
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=True)
    assert result.stderr == ""


def test_interrupted_is_130(home):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*COMMAND, "chat"], text=True, **pipes) as process:
        # an answered command shows that the program is past its start and waits for input
        process.stdin.write("/help\n")
        process.stdin.flush()
        assert "/quit" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
