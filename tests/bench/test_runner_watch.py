import io
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from memory_r1.bench.watch import Job, Progress, Remaining, Silent

RAG, ALL = Job("rag", "c1", 100, 10), Job("add-all", "c1", 100, 10)
LONG, NEXT = Job("memory-r1", "c1", 500, 0), Job("memory-r1", "c2", 200, 0)


def goes(remaining, job, turns, step, began=0.0):
    """Tell of turns one by one, each after so many seconds; returns the seconds of reading so far."""
    for read in turns:
        began += step
        remaining.turns(job, read, began)
    return began


def test_a_system_that_has_not_begun_is_as_fast_as_the_others():
    remaining = Remaining([RAG, ALL], 1)
    assert remaining.seconds() is None
    remaining.read(RAG, 50.0)
    assert remaining.seconds() is None
    remaining.answered(RAG, 5, 10.0)
    # 5 of rag's own, then 100 turns at half a second and 10 questions at two
    assert remaining.seconds() == 10 + 50 + 20
    assert Remaining([RAG], 4).seconds() is None


def test_jobs_at_once_share_the_time():
    remaining = Remaining([RAG, ALL, Job("none", "c1", 0, 20)], 2)
    remaining.read(RAG, 50.0)
    remaining.answered(RAG, 10, 10.0)
    assert remaining.seconds() == (50 + 10 + 20) / 2
    remaining.answered(ALL, 10, 10.0)
    # nothing goes on beside the last one
    assert remaining.seconds() == 20


def test_turns_tell_how_long_reading_will_take():
    remaining = Remaining([LONG, NEXT], 1)
    remaining.reading(LONG)
    goes(remaining, LONG, range(1, 101), 2.0)
    # what came before the first turn, two seconds, will come before the next conversation's as well
    assert remaining.seconds() == pytest.approx(400 * 2 + 200 * 2 + 2 * 200 / 500)
    # nothing counts twice
    remaining.read(LONG, 1000.0)
    remaining.turns(LONG, 500, 1001.0)
    assert remaining.seconds() == 400


def test_what_is_done_before_the_first_turn_is_no_pace():
    remaining = Remaining([LONG, NEXT], 1)
    remaining.reading(LONG)
    assert remaining.seconds() is None
    remaining.turns(LONG, 0, 1000.0)
    assert remaining.seconds() is None
    goes(remaining, LONG, range(1, 51), 2.0, began=1000.0)
    # a thousand seconds for 500 turns, once for each conversation
    assert remaining.seconds() == pytest.approx(450 * 2 + 200 * (2 + 2))


def test_turns_that_came_from_a_cache_are_soon_forgotten():
    remaining = Remaining([LONG], 1)
    remaining.reading(LONG)
    again = goes(remaining, LONG, range(1, 101), 0.01)
    goes(remaining, LONG, range(101, 121), 3.0, began=again)
    assert remaining.seconds() == pytest.approx(380 * 3)


@pytest.mark.parametrize(("turns", "step"), [((), 0.0), ((500,), 9000.0), (range(4), 60.0), (range(100), 0.01)])
def test_too_little_is_no_pace(turns, step):
    remaining = Remaining([LONG], 1)
    remaining.reading(LONG)
    goes(remaining, LONG, turns, step)
    assert remaining.seconds() is None


def test_a_slow_turn_is_not_taken_for_the_pace():
    remaining = Remaining([LONG], 1)
    remaining.reading(LONG)
    remaining.turns(LONG, 21, goes(remaining, LONG, range(1, 21), 1.0) + 31.0)
    # five turns, the slow one among them
    assert remaining.seconds() == pytest.approx(479 * (4 * 1 + 31) / 5)


def test_a_slow_system_is_not_taken_at_the_pace_of_a_quick_one_once_it_has_begun():
    remaining = Remaining([RAG, LONG, NEXT], 1)
    remaining.read(RAG, 1.0)
    remaining.answered(RAG, 10, 1.0)
    assert remaining.seconds() == 7
    remaining.reading(LONG)
    assert remaining.seconds() is None
    remaining.read(LONG, 1000.0)
    remaining.reading(NEXT)
    assert remaining.seconds() == 400


def test_conversations_that_are_read_at_once_share_a_pace():
    remaining = Remaining([LONG, NEXT], 2)
    remaining.reading(LONG)
    remaining.reading(NEXT)
    goes(remaining, LONG, range(101), 2.0, began=-2.0)
    assert remaining.seconds() == (400 * 2 + 200 * 2) / 2
    goes(remaining, NEXT, range(101), 4.0, began=-4.0)
    assert remaining.seconds() == (400 * 2 + 100 * 4) / 2


def test_a_conversation_that_could_not_be_read_is_over():
    remaining = Remaining([RAG], 1)
    remaining.reading(RAG)
    remaining.turns(RAG, 40, 80.0)
    remaining.answered(RAG, 10, 0.0)
    assert remaining.seconds() == 0


def test_without_an_answer_it_takes_at_least_as_long_as_reading():
    remaining = Remaining([RAG, ALL], 1)
    remaining.reading(RAG)
    assert remaining.told() == "time left not known yet"
    goes(remaining, RAG, range(21), 1.0, began=-1.0)
    assert remaining.told() == "at least 3 min left"
    remaining.read(RAG, 100.0)
    remaining.answered(RAG, 1, 1.0)
    assert remaining.told() == "about 2 min left"


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
    assert lines[1] == "3/23 answers; at least 50 s left; rag has read c1: 100 turns in 50 s"
    assert lines[2] == "7/23 answers; about 2 min left; rag answers on c1"
    assert len(lines) == 6
    assert "something [happened]" in lines
    assert lines[-1].startswith("23/23 answers; about")
    assert "\x1b" not in out.getvalue()


def test_a_line_says_how_far_a_conversation_is():
    out, now = io.StringIO(), [0.0]
    watcher = Progress(Console(file=out, width=200), clock=lambda: now[0])
    watcher.started([LONG, NEXT], 0, 1)
    watcher.reading(LONG)
    now[0] = 20.0
    watcher.called(LONG, 9)
    for read in range(121):
        now[0] += 5.0
        watcher.turns(LONG, read, now[0])
    now[0] += 20.0
    watcher.called(LONG, 1209)
    watcher.read(LONG, now[0])
    lines = out.getvalue().splitlines()
    assert lines[0] == "0/0 answers; time left not known yet; memory-r1 reads c1 (9 calls)"
    assert lines[-2] == "0/0 answers; about 48 min left; memory-r1 reads c1 (120 of 500 turns, 1,209 calls)"
    assert lines[-1] == "0/0 answers; about 4 min left; memory-r1 has read c1: 500 turns in 11 min"


@dataclass
class Heard(Silent):
    """Keeps what is told of turns and of conversations that are read."""

    turns_told: list = field(default_factory=list)

    def turns(self, job, read, seconds):
        assert seconds >= 0
        self.turns_told.append((job.conversation, read))

    def read(self, job, seconds):
        self.turns_told.append((job.conversation, "read"))


def test_a_system_may_say_how_many_turns_it_has_read(bench, own):
    method = own(
        """
def ingest(self, conversation):
    for turns, _ in enumerate(conversation.turns, 1): self.kit.on_turns(turns)
"""
    )
    heard = Heard()
    bench(f"mine={method}", "none", watcher=heard)
    mine = [("c1", 1), ("c1", 2), ("c1", 3), ("c1", "read"), ("c2", 1), ("c2", 2), ("c2", "read")]
    assert heard.turns_told == [*mine, ("c1", "read"), ("c2", "read")]


def test_a_conversation_that_is_read_stays_read(bench, own):
    method = own(
        """
def answer(self, question):
    self.kit.on_turns(1)
    return SystemAnswer("blue")
"""
    )
    heard = Heard()
    bench(f"mine={method}", watcher=heard)
    assert heard.turns_told == [("c1", "read"), ("c2", "read")]


def test_nonsense_about_turns_ends_nothing(bench, own, answers):
    method = own(
        """
def ingest(self, conversation):
    for turns in (-5, 2, 1, 2, None, "many", float("nan"), float("inf"), 99, 100): self.kit.on_turns(turns)
"""
    )
    heard = Heard()
    bench(f"mine={method}", watcher=heard)
    assert heard.turns_told == [("c1", 0), ("c1", 2), ("c1", 3), ("c1", "read"), ("c2", 0), ("c2", 2), ("c2", "read")]
    assert [one.error for one in answers("mine")] == [None] * 4


@pytest.mark.parametrize("name", ["rag-hybrid", "add-all", "memory-r1", "a-mem", "mem0-prompt", "memgpt", "memoryos"])
def test_systems_that_go_turn_by_turn_say_so(bench, name):
    heard = Heard()
    bench(name, watcher=heard)
    told = [read for conversation, read in heard.turns_told if conversation == "c1"]
    assert told[-2:] == [3, "read"]
