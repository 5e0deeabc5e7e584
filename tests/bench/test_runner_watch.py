import io

from rich.console import Console

from memory_r1.bench.watch import Job, Progress, Remaining

RAG, ALL = Job("rag", "c1", 100, 10), Job("add-all", "c1", 100, 10)


def test_a_system_that_has_not_begun_is_as_fast_as_the_others():
    remaining = Remaining([RAG, ALL], 1)
    assert remaining.seconds() is None
    remaining.read("rag", 100, 50.0)
    assert remaining.seconds() is None
    remaining.answered("rag", 5, 10.0)
    # 5 of rag's own, then 100 turns at half a second and 10 questions at two
    assert remaining.seconds() == 10 + 50 + 20
    assert Remaining([RAG], 4).seconds() is None


def test_jobs_at_once_share_the_time():
    remaining = Remaining([RAG, ALL], 2)
    remaining.read("rag", 100, 50.0)
    remaining.answered("rag", 10, 10.0)
    assert remaining.seconds() == (50 + 10) / 2


def test_on_a_pipe_lines_come_now_and_then():
    out, now = io.StringIO(), [0.0]
    watcher = Progress(Console(file=out, width=200), clock=lambda: now[0])
    watcher.started([RAG, ALL], 3, 1)
    watcher.reading(RAG)
    watcher.called(RAG, 12)
    watcher.read(RAG, 50.0)
    for _ in range(9):
        now[0] += 4
        watcher.answered(RAG, 1, 4.0)
    watcher.note("something [happened]")
    watcher.answered(RAG, 1, 4.0)
    watcher.answered(ALL, 10, 4.0)
    watcher.close()
    lines = out.getvalue().splitlines()
    assert lines[0] == "3 of 23 answers are there already."
    assert lines[1] == "3/23 answers; about unknown left; rag has read c1: 100 turns in 50 s"
    assert lines[2] == "7/23 answers; about 2 min left; rag answers on c1"
    assert len(lines) == 6
    assert "something [happened]" in lines
    assert lines[-1].startswith("23/23 answers; about")
    assert "\x1b" not in out.getvalue()
