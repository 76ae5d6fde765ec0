"""An iterator run ahead in a thread: the same items, a bound on bytes, and nothing left behind."""

import gc
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.http_server import Fault, FileServer
from tests.sources.conftest import server as server  # a fixture

from atdata.pipeline.ahead import ahead
from atdata.transport import http
from atdata.transport.halt import Halted, pause

ROOT = Path(__file__).parents[2]


class Steps:
    """An iterator that tells what happens to it."""

    def __init__(self, n: int, size: int = 1) -> None:
        self.n = n
        self.size = size
        self.made = 0
        self.closed_in: str | None = None

    def run(self) -> Generator[bytes]:
        try:
            for _ in range(self.n):
                self.made += 1
                yield bytes(self.size)
        finally:
            self.closed_in = threading.current_thread().name


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("atdata-")]


def settled(value: Callable[[], int]) -> int:
    """A number, once it has stopped to grow."""
    before = -1
    while before != (now := value()):
        before = now
        time.sleep(0.05)
    return now


def script(code: str, *args: str) -> subprocess.Popen[str]:
    """A program of its own."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *args]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


@given(sizes=st.lists(st.integers(0, 50), max_size=40), n_bytes=st.integers(0, 200))
def test_items_come_in_order_and_no_more_are_held_than_allowed(
    sizes: list[int], n_bytes: int
) -> None:
    """For any sizes and bound; one item is allowed always, and one may be larger than the last."""
    items = [bytes([i]) * size for i, size in enumerate(sizes)]
    made = 0

    def making() -> Iterator[bytes]:
        nonlocal made
        for item in items:
            made += len(item)
            yield item

    found: list[bytes] = []
    held: list[int] = []
    for item in ahead(making(), n_bytes=n_bytes, size_of=len):
        found.append(item)
        held.append(made - sum(map(len, found)))

    assert found == items
    assert max(held, default=0) <= n_bytes + max(sizes, default=0)


@pytest.mark.parametrize(("n_bytes", "expected"), [(0, 1), (1, 1), (99, 1), (100, 2), (550, 11)])
def test_it_works_ahead_up_to_the_bound(n_bytes: int, expected: int) -> None:
    """While nobody asks, as much is made as may be held."""
    steps = Steps(100, size=50)

    with closing(ahead(steps.run(), n_bytes=n_bytes, size_of=len)) as items:
        next(items)
        made = settled(lambda: steps.made)

    assert made - 1 == expected


def test_an_error_comes_in_its_place() -> None:
    """What was made before it is delivered first, and its traceback says where it was raised."""

    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("in the middle")

    found: list[int] = []
    with pytest.raises(LookupError, match="in the middle") as caught:
        found.extend(ahead(failing(), n_bytes=1000, size_of=lambda _: 1))

    assert found == [1, 2]
    assert "in failing" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert threads() == []


def test_a_size_that_cannot_be_told_is_an_error() -> None:
    """It comes in the item's place, and the iterator is closed."""
    steps = Steps(3)

    with pytest.raises(ZeroDivisionError):
        list(ahead(steps.run(), n_bytes=10, size_of=lambda _: 1 // 0))

    assert steps.closed_in == "atdata-ahead"
    assert threads() == []


def leave_by_close(items: Generator[bytes]) -> None:
    next(items)
    items.close()


def leave_by_break(items: Generator[bytes]) -> None:
    for _ in items:
        break


def leave_by_raising(items: Generator[bytes]) -> None:
    with suppress(KeyError):
        for _ in items:
            raise KeyError


def leave_by_interrupt(items: Generator[bytes]) -> None:
    next(items)
    with pytest.raises(KeyboardInterrupt):
        items.throw(KeyboardInterrupt())


def leave_to_the_collector(items: Generator[bytes]) -> None:
    next(items)
    cycle: list[object] = [items]
    cycle.append(cycle)
    del items, cycle


@pytest.mark.parametrize(
    "leave",
    [leave_by_close, leave_by_break, leave_by_raising, leave_by_interrupt, leave_to_the_collector],
)
def test_leaving_ends_the_thread_and_closes_the_iterator(
    leave: Callable[[Generator[bytes]], None],
) -> None:
    """However a reader leaves, the iterator is closed in its own thread, which ends."""
    steps = Steps(1000)

    leave(ahead(steps.run(), n_bytes=10, size_of=len))
    gc.collect()

    assert steps.closed_in == "atdata-ahead"
    assert threads() == []


def test_nothing_starts_before_the_first_item_is_asked_for() -> None:
    """A generator that was made and dropped has run nothing."""
    steps = Steps(10)

    items = ahead(steps.run(), n_bytes=10, size_of=len)
    assert threads() == []
    items.close()

    assert (steps.made, steps.closed_in) == (0, None)


def test_an_error_on_closing_is_raised_to_who_leaves() -> None:
    """As it would be without a thread."""

    def unclean() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            raise LookupError("on closing")

    items = ahead(unclean(), n_bytes=3, size_of=lambda _: 1)
    next(items)

    with pytest.raises(LookupError, match="on closing"):
        items.close()


def test_one_may_run_ahead_of_another() -> None:
    """Iterators that are run ahead can be part of each other; leaving ends them all."""
    steps = Steps(1000, size=10)
    inner = ahead(steps.run(), n_bytes=100, size_of=len)
    outer = ahead((item * 2 for item in inner), n_bytes=100, size_of=len)

    assert [len(next(outer)) for _ in range(5)] == [20] * 5
    outer.close()
    del inner
    gc.collect()

    assert steps.closed_in == "atdata-ahead"
    assert threads() == []


def test_a_sleep_is_cut() -> None:
    """Whoever leaves does not wait for a thread that sleeps before it tries again."""
    slept: list[BaseException] = []

    def sleeping() -> Iterator[int]:
        yield 1
        try:
            pause(3600)
        except Halted as halted:
            slept.append(halted)
            raise

    items = ahead(sleeping(), n_bytes=10, size_of=lambda _: 1)
    next(items)
    settled(lambda: len(slept))
    began = time.monotonic()
    items.close()

    assert time.monotonic() - began < 2
    assert len(slept) == 1


@pytest.mark.parametrize("fault", [Fault(delay=60), Fault(pause=60), Fault(status=503)])
def test_a_request_is_cut(server: FileServer, fault: Fault) -> None:
    """Nor for one that waits for a server, within an answer, before it, or for its next try."""
    url = server.put("a", bytes(100))
    server.always = fault

    def requesting() -> Iterator[bytes]:
        yield b""
        with http.open_url(url) as stream:
            yield stream.read()

    items = ahead(requesting(), n_bytes=10, size_of=len)
    next(items)
    while not server.seen:
        time.sleep(0.01)
    time.sleep(0.1)
    began = time.monotonic()
    items.close()

    assert time.monotonic() - began < 2
    assert threads() == []


EXITING = """
import sys, threading
from atdata.pipeline.ahead import ahead
from atdata.transport.halt import pause
def endless():
    try:
        n = 0
        while True:
            yield n
            n += 1
            if n == 3 and sys.argv[1] == "asleep": pause(3600)
            if n == 3 and sys.argv[1] == "deaf": threading.Event().wait()
    finally:
        print("closed")
items = ahead(endless(), n_bytes=10, size_of=lambda _: 1)
print(next(items))
"""


@pytest.mark.parametrize(("how", "closed"), [("full", True), ("asleep", True), ("deaf", False)])
def test_the_interpreter_exits(how: str, closed: bool) -> None:
    """A program may end in the middle of a reading: the thread is ended, deaf or not."""
    began = time.monotonic()
    with script(EXITING, how) as program:
        out, err = program.communicate(timeout=30)

    assert time.monotonic() - began < 8
    assert (program.returncode, err) == (0, "")
    assert out.split() == ["0", "closed"][: 1 + closed]


INTERRUPTED = """
from atdata.pipeline.ahead import ahead
from atdata.transport.halt import pause
import threading
def slow():
    try:
        yield 1
        print("waiting", flush=True)
        pause(3600)
    finally:
        print("closed", flush=True)
try:
    for item in ahead(slow(), n_bytes=10, size_of=lambda _: 1): pass
except KeyboardInterrupt:
    print("interrupted", threading.active_count())
"""


def test_ctrl_c_ends_the_thread() -> None:
    """An interrupt reaches a reader that waits, and leaves no thread."""
    with script(INTERRUPTED) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline() == "waiting\n"
        time.sleep(0.1)
        program.send_signal(signal.SIGINT)
        out, err = program.stdout.read(), program.stderr.read()

    assert err == ""
    assert out.split() == ["closed", "interrupted", "1"]


FORKED = """
import os, threading
from atdata.pipeline.ahead import ahead
items = ahead(iter(range(100)), n_bytes=5, size_of=lambda _: 1)
print(next(items), flush=True)
child = os.fork()
if child == 0:
    try:
        next(items)
    except RuntimeError as error:
        print(error, flush=True)
    items.close()
    print(sum(ahead(iter(range(10)), n_bytes=5, size_of=lambda _: 1)), flush=True)
else:
    print(os.waitpid(child, 0)[1], sum(items), threading.active_count())
"""


def test_a_fork_has_no_thread_that_reads() -> None:
    """In the child an inherited reading is an error and no hang, and a new one works."""
    with script(FORKED) as program:
        out, err = program.communicate(timeout=20)

    assert err == ""
    first, refusal, own, parent = out.splitlines()
    assert "forked" in refusal
    assert (first, own, parent) == ("0", "45", "0 4950 1")
