import gzip
import hashlib
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from memory_r1.data import transfer
from memory_r1.data.download import data_state, download, is_published, take_from
from memory_r1.data.msc import load_msc
from memory_r1.data.published import DATA_SETS, DataSet, Source, data_folder, find_data_set
from memory_r1.errors import ConfigError, InvalidInputError, MemoryR1Error

CONTENT = b"".join(b"%06d\n" % number for number in range(60_000))


class Server:
    """Serves one file over HTTP and misbehaves as told."""

    def __init__(self):
        self.content = CONTENT
        self.cut: list[int] = []
        """After how many bytes each of the next replies breaks off."""
        self.status: list[int] = []
        """Statuses of the next replies, in place of the file."""
        self.ranges = True
        self.asked: list[str | None] = []
        """The Range header of each request."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.headers.get("Range"))
                if server.status:
                    self.send_error(server.status.pop(0))
                    return
                start = 0
                if server.ranges and (wanted := self.headers.get("Range")):
                    start = int(wanted.removeprefix("bytes=").rstrip("-"))
                    if start >= len(server.content):
                        self.send_error(416)
                        return
                self.send_response(206 if start else 200)
                body = server.content[start:]
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: server.cut.pop(0)] if server.cut else body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/file"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(transfer, "_PAUSE_S", 0.0)
    made = Server()
    yield made
    made.close()


@pytest.fixture
def toy(server):
    source = Source(server.url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "toy/toy.txt")
    return DataSet("toy", "A toy", source, "CC0", "Anything goes.", "http://127.0.0.1")


def left_behind(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_comes_whole_with_progress(toy, server, tmp_path):
    told = []
    path = download(toy, tmp_path, on_progress=lambda done, total: told.append((done, total)))
    assert path == tmp_path / "toy" / "toy.txt"
    assert path.read_bytes() == CONTENT
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert left_behind(tmp_path) == ["toy/toy.txt"]
    assert data_state(toy, tmp_path) == ("here", path)
    assert download(toy, tmp_path) == path
    assert len(server.asked) == 1


def test_a_broken_connection_is_taken_up_where_it_was(toy, server, tmp_path):
    server.cut = [100_000, 50_000]
    assert download(toy, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_call_goes_on_after_one_that_gave_up(toy, server, tmp_path):
    server.cut = [30_000] * transfer.TRIES
    with pytest.raises(MemoryR1Error, match=r"150,000 bytes are kept: run the command again"):
        download(toy, tmp_path)
    assert data_state(toy, tmp_path)[0] == "missing"
    assert left_behind(tmp_path) == ["toy/.toy.txt.part"]
    server.asked.clear()
    assert download(toy, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=150000-"]
    assert left_behind(tmp_path) == ["toy/toy.txt"]


def test_a_server_that_cannot_go_on_begins_anew(toy, server, tmp_path):
    server.ranges, server.cut = False, [100_000]
    assert download(toy, tmp_path).read_bytes() == CONTENT


def test_what_is_left_of_another_file_is_thrown_away(toy, server, tmp_path):
    part = tmp_path / "toy" / ".toy.txt.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT + b"more")
    assert download(toy, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", [CONTENT[:-1], b"<html>Sign in</html>", CONTENT.replace(b"000007", b"000008")])
def test_another_content_is_refused_and_nothing_is_left(toy, server, tmp_path, wrong):
    server.content = wrong
    with pytest.raises(InvalidInputError, match=r"is not the published file.*nothing was kept"):
        download(toy, tmp_path)
    assert left_behind(tmp_path) == []


def test_a_refusal_is_told_at_once(toy, server, tmp_path):
    server.status = [404]
    with pytest.raises(MemoryR1Error, match=r"404.*--from"):
        download(toy, tmp_path)
    assert len(server.asked) == 1
    assert left_behind(tmp_path) == []


def test_an_overloaded_server_is_asked_again(toy, server, tmp_path):
    server.status = [503, 429]
    assert download(toy, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_no_network_is_told(toy, server, tmp_path):
    server.close()
    with pytest.raises(MemoryR1Error, match=r"cannot be fetched.*--from FOLDER"):
        download(toy, tmp_path)
    assert left_behind(tmp_path) == []


def test_a_damaged_file_is_replaced(toy, server, tmp_path):
    path = download(toy, tmp_path)
    path.write_bytes(CONTENT[:1000])
    assert data_state(toy, tmp_path) == ("damaged", path)
    assert download(toy, tmp_path).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_told(toy, server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MemoryR1Error, match=r"cannot be written.*--to"):
        download(toy, tmp_path / "file")


def test_a_fetch_that_goes_on_elsewhere_is_told(toy, server, tmp_path):
    from filelock import FileLock

    (tmp_path / "toy").mkdir()
    with FileLock(tmp_path / "toy" / ".toy.txt.lock"), pytest.raises(MemoryR1Error, match=r"Another process"):
        download(toy, tmp_path)


@pytest.mark.parametrize("place", ["toy/toy.txt", "toy.txt", "toy/toy.txt.gz"])
def test_a_folder_at_hand_will_do(toy, server, tmp_path, place):
    given = tmp_path / "given" / place
    given.parent.mkdir(parents=True)
    given.write_bytes(gzip.compress(CONTENT) if place.endswith("gz") else CONTENT)
    assert take_from(toy, tmp_path / "given", tmp_path / "data").read_bytes() == CONTENT
    assert left_behind(tmp_path / "data") == ["toy/toy.txt"]
    assert server.asked == []


def test_a_folder_with_something_else_is_refused(toy, tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    with pytest.raises(InvalidInputError, match=r"holds no toy/toy.txt"):
        take_from(toy, given, tmp_path / "data")
    (given / "toy.txt").write_bytes(CONTENT[:500])
    with pytest.raises(InvalidInputError, match=r"toy.txt is not the published file.*500 bytes instead of 420,000"):
        take_from(toy, given, tmp_path / "data")
    (given / "toy.txt").write_bytes(gzip.compress(CONTENT)[:-20])
    with pytest.raises(InvalidInputError, match=r"cut off or damaged"):
        take_from(toy, given, tmp_path / "data")
    assert left_behind(tmp_path / "data") == []


def record(number):
    return {
        "metadata": {"initial_data_id": f"valid_{number}", "session_id": 4},
        "self_instruct": {"B": "What did you eat? ", "A": "Toast"},
        "personas": [["I eat toast."], ["I am tall."]],
        "previous_dialogs": [
            {
                "dialog": [{"text": f"Session {n}."}, {"text": "Yes."}, {"text": "I ate toast."}],
                "time_back": "1 day ago",
            }
            for n in range(1, 5)
        ],
        "dialog": [{"id": "Speaker 1", "text": "Session 5."}],
    }


@pytest.fixture
def published(server):
    """MSC-Self-Instruct in the shape in which it is published."""
    server.content = "".join(json.dumps(record(number)) + "\n" for number in range(3)).encode()
    source = replace(
        DATA_SETS["msc"].source, url=server.url, sha256=hashlib.sha256(server.content).hexdigest(), size=None
    )
    return replace(DATA_SETS["msc"], source=source)


def test_the_published_msc_becomes_what_the_loader_reads(published, server, tmp_path):
    path = download(published, tmp_path)
    assert path == tmp_path / published.loaded
    assert data_state(published, tmp_path) == ("here", path)
    one = load_msc(tmp_path)[2]
    assert one.id == "valid_2"
    assert [session.turns[0].text for session in one.sessions] == [f"Session {n}." for n in range(1, 5)]
    assert [turn.speaker for turn in one.sessions[0].turns] == ["Speaker 1", "Speaker 2", "Speaker 1"]
    assert (one.questions[0].text, one.questions[0].answer) == ("What did you eat?", "Toast")
    path.write_text(path.read_text().replace("toast", "bread"))
    assert data_state(published, tmp_path)[0] == "damaged"


def test_a_line_of_another_shape_is_told(published, server, tmp_path):
    server.content = json.dumps({**record(0), "self_instruct": {}}).encode()
    wrong = replace(published, source=replace(published.source, sha256=hashlib.sha256(server.content).hexdigest()))
    with pytest.raises(InvalidInputError, match=r"line 1 is no MSC-Self-Instruct record"):
        download(wrong, tmp_path)
    assert data_state(wrong, tmp_path)[0] == "missing"


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_the_real_files_have_the_published_hashes(data_folder, tmp_path, name):
    wanted = DATA_SETS[name]
    assert data_state(wanted, data_folder)[0] == "here"
    path = take_from(wanted, data_folder, tmp_path)
    assert data_state(wanted, tmp_path) == ("here", path)
    assert path.stat().st_size == (wanted.made or wanted.source).size


def test_data_lies_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MEMORY_R1_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.delenv("MEMORY_R1_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    assert data_folder() == Path(tmp_path / "home" / "memory-r1" / "datasets")
    with pytest.raises(ConfigError, match=r"locomo, longmemeval, msc"):
        find_data_set("beam")


def test_a_published_file_is_known_under_any_name(toy, tmp_path):
    plain, packed, cut = tmp_path / "any.txt", tmp_path / "any.gz", tmp_path / "cut.txt"
    plain.write_bytes(CONTENT)
    packed.write_bytes(gzip.compress(CONTENT))
    cut.write_bytes(CONTENT[:-1])
    assert is_published(toy, plain)
    assert is_published(toy, packed)
    assert not is_published(toy, cut)
    packed.write_bytes(gzip.compress(CONTENT)[:-20])
    assert not is_published(toy, packed)
