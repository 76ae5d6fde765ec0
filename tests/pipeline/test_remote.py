"""Shards fetched ahead: the same samples and errors as without it, a bound, and a clean end."""

import gzip
import hashlib
import io
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.dataset.places import Memory
from tests.http_server import Fault, FileServer
from tests.shard.archives import tar_of, write_shard
from tests.sources.conftest import server as server  # a fixture

from atdata._exceptions import AtdataError, ShardError, ShardNotFoundError, SourceError
from atdata.pipeline.open import open_shard
from atdata.pipeline.policy import Ledger
from atdata.pipeline.remote import Wanted, read_shards
from atdata.shard.ranged import RangedShard, open_ranged
from atdata.sources.url import URLSource
from atdata.transport import http
from atdata.transport.halt import pause

ROOT = Path(__file__).parents[2]
MIB = 1 << 20


def payloads(n: int, size: int = 150_000) -> list[bytes]:
    return [random.Random(i).randbytes(size - 7 * i) for i in range(n)]


class Parts:
    """A source that gives parts of what it holds, fails where it is told to, and counts."""

    def __init__(self, shards: dict[str, bytes], local: dict[str, Path] | None = None) -> None:
        self.shards = shards
        self.local = local or {}
        self.fails_from: dict[str, tuple[int, str]] = {}
        self.delay = 0.0
        self.slow_to_open: set[str] = set()
        self.stuck: set[str] = set()
        self.lock = threading.Lock()
        self.opened: list[str] = []
        self.given = 0
        self.n_requests = 0
        self.under_way: Counter[str] = Counter()
        self.most_at_once = 0
        self.most_of_first = 0

    def list_shards(self) -> list[str]:
        return list(self.shards)

    def open_shard(self, shard_id: str) -> BinaryIO:
        return io.BytesIO(self._bytes(shard_id))

    def local_path(self, shard_id: str) -> Path | None:
        return self.local.get(shard_id)

    def shard_size(self, shard_id: str) -> int:
        with self.lock:
            self.opened.append(shard_id)
        time.sleep(0.3 if shard_id in self.slow_to_open else self.delay)
        return len(self._bytes(shard_id))

    def _bytes(self, shard_id: str) -> bytes:
        if shard_id not in self.shards:
            raise ShardNotFoundError(shard_id)
        return self.shards[shard_id]

    def read_range(self, shard_id: str, start: int, length: int) -> bytes:
        data = self._bytes(shard_id)
        if start < 0:
            return data[len(data) + start :][:length]
        with self.lock:
            self.under_way[shard_id] += 1
            self.n_requests += 1
            self.most_at_once = max(self.most_at_once, self.under_way.total())
            self.most_of_first = max(self.most_of_first, self.under_way["0"])
            self.given += length
        pause(60 if shard_id in self.stuck else self.delay)
        with self.lock:
            self.under_way[shard_id] -= 1
        end, how = self.fails_from.get(shard_id, (len(data), "short"))
        if start + length > end and how == "refused":
            raise SourceError(shard_id, "no more today", status=403)
        return data[start : min(start + length, end)]


def flipped(data: bytes, *places: int) -> bytes:
    changed = bytearray(data)
    for at in places:
        changed[at] ^= 1
    return bytes(changed)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Shards of all kinds: sound, damaged, missing, cut, of other writers, compressed, local."""
    folder = tmp_path_factory.mktemp("parts")
    path = write_shard(folder, payloads(36))
    whole = path.read_bytes()
    small = write_shard(tmp_path_factory.mktemp("small"), payloads(5, 1000)).read_bytes()
    foreign = tar_of((f"{i:04d}.msgpack", p) for i, p in enumerate(payloads(30, 9000)))
    shards = {
        "whole": whole,
        "small": small,
        "damaged": flipped(whole, 2 * MIB + 3, 4 * MIB),
        "spoiled": flipped(whole, 5, MIB + 200_000, 2 * MIB + 9),
        "no index": flipped(whole, len(whole) - 1200),
        "foreign": foreign,
        "cut": foreign[:100_000],
        "compressed": gzip.compress(foreign, 1),
        "short": whole,
        "refused": whole,
        "local": whole,
    }
    source = Parts(shards, {"local": path})
    source.fails_from = {"short": (3 * MIB + 7, "short"), "refused": (2 * MIB + 7, "refused")}
    return source


KINDS = [
    "whole", "small", "damaged", "spoiled", "no index", "foreign", "cut", "compressed", "short",
    "refused", "local", "missing",
]  # fmt: skip

type Transcript = list[tuple[Any, ...]]


def transcript(
    wanted: Iterable[Wanted], prefetch_bytes: int, ledger: Ledger, most: int = sys.maxsize
) -> Transcript:
    """All that a reader sees, in order, sample by sample; it leaves after so many samples."""
    seen: Transcript = []
    n = 0
    with closing(read_shards(wanted, prefetch_bytes=prefetch_bytes)) as turns:
        for turn in turns:
            try:
                seen.append((turn.number, type(turn.open()).__name__))
                for item in turn.chunks():
                    if isinstance(item, ShardError):
                        seen.append((turn.number, str(item)))
                        ledger.meet(item)
                        continue
                    for i in range(len(item)):
                        n += 1
                        digest = hashlib.sha256(item.payload(i)).digest()
                        seen.append((item.row + i, item.key(i), item.offset(i), digest))
                    if n >= most:
                        return seen
            except AtdataError as error:
                seen.append((turn.number, type(error), str(error)))
                ledger.meet(error)
    return seen


ROWS = st.tuples(st.integers(0, 40), st.integers(0, 40))


@settings(max_examples=40)
@given(
    kinds=st.lists(st.tuples(st.sampled_from(KINDS), st.none() | ROWS), max_size=8),
    prefetch_bytes=st.sampled_from([1, 300_000, 3 * MIB, 64 * MIB]),
    verify=st.sampled_from(["auto", "damage", "off"]),
)
@example(kinds=[(kind, None) for kind in KINDS], prefetch_bytes=64 * MIB, verify="auto")
@example(kinds=[(kind, None) for kind in KINDS], prefetch_bytes=1, verify="auto")
def test_reading_ahead_changes_nothing(
    parts: Parts, kinds: list[tuple[str, Any]], prefetch_bytes: int, verify: Any
) -> None:
    """Samples, errors, their order and the ledger are those of a reader that fetches nothing."""
    wanted = [Wanted(parts, kind, *(rows or ()), verify=verify) for kind, rows in kinds]
    plain, ahead = Ledger("skip"), Ledger("skip")

    assert transcript(wanted, prefetch_bytes, ahead) == transcript(wanted, 0, plain)

    assert ahead.skipped == plain.skipped
    assert ahead.n_skipped == plain.n_skipped


@settings(max_examples=25)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6),
    prefetch_bytes=st.sampled_from([1, 3 * MIB, 64 * MIB]),
    most=st.integers(1, 100),
)
def test_a_reader_that_leaves_has_seen_the_same(
    parts: Parts, kinds: list[str], prefetch_bytes: int, most: int
) -> None:
    """Who stops, of its own will or by an error, has what it would have had, and no thread."""
    wanted = [Wanted(parts, kind) for kind in kinds]
    seen: list[Transcript] = []
    for n_bytes in (prefetch_bytes, 0):
        try:
            whole = transcript(wanted, n_bytes, Ledger("raise"), most)
        except AtdataError as error:
            whole = [(type(error), str(error))]
        seen.append(whole)

    shorter = min(map(len, seen))  # chunks are longer where more is fetched at once
    assert seen[0][:shorter] == seen[1][:shorter]
    assert threads() == []


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("atdata-")]


def settled(value: Callable[[], int]) -> int:
    """A number, once it has stopped to grow."""
    before = -1
    while before != (now := value()):
        before = now
        time.sleep(0.1)
    return now


def copies(data: bytes, n: int) -> Parts:
    return Parts({f"{i}": data for i in range(n)})


def of(source: Any, shard_ids: Sequence[str] | None = None) -> list[Wanted]:
    return [Wanted(source, shard_id) for shard_id in shard_ids or source.list_shards()]


@pytest.mark.parametrize("prefetch_bytes", [1, 2 * MIB, 7 * MIB, 100 * MIB])
def test_no_more_is_fetched_than_the_bound(parts: Parts, prefetch_bytes: int) -> None:
    """What is here or on its way and not yet used stays below it, or is one block."""
    source = copies(parts.shards["whole"], 4)
    taken = 0
    unused: list[int] = []

    for turn in read_shards(of(source), prefetch_bytes=prefetch_bytes):
        for item in turn.chunks():
            assert not isinstance(item, ShardError)
            taken += item.data.nbytes
            if len(unused) < 6:
                unused.append(settled(lambda: source.given) - taken)

    assert source.given == taken
    assert max(unused) <= max(prefetch_bytes, int(1.2 * MIB))
    assert unused[0] > min(prefetch_bytes, 15 * MIB) * 0.5


def test_without_a_bound_nothing_is_fetched_before_it_is_needed(parts: Parts) -> None:
    """One block a request, one request at a time, one shard at a time, and no thread."""
    source = copies(parts.shards["whole"], 3)
    turns = read_shards(of(source), prefetch_bytes=0)

    shard = next(turns).open()
    assert (source.n_requests, source.opened) == (0, ["0"])
    assert isinstance(shard, RangedShard)
    turns.close()
    transcript(of(source), 0, Ledger("raise"))

    assert source.n_requests == 3 * len(shard.index.blocks)
    assert source.most_at_once == 1
    assert threads() == []


def test_blocks_and_shards_are_fetched_side_by_side(parts: Parts) -> None:
    """Many requests are under way at once, across the borders of shards, in fewer requests."""
    source = copies(parts.shards["whole"], 12)
    source.delay = 0.02
    blocks = 12 * 6

    transcript(of(source), 64 * MIB, Ledger("raise"))

    assert source.most_at_once >= 4
    assert source.n_requests < blocks
    assert sorted(source.opened) == sorted(source.shards)


def test_no_more_shards_are_opened_than_there_is_room_for(parts: Parts) -> None:
    """An index is read when less than the bound lies before its shard."""
    source = copies(parts.shards["whole"], 30)
    source.delay = 0.02

    with closing(read_shards(of(source), prefetch_bytes=4 * MIB)) as turns:
        next(next(turns).chunks())
        settled(lambda: source.given)

    assert len(source.opened) <= 3


def test_a_shard_that_opens_late_finds_room(parts: Parts) -> None:
    """Those behind it do not take all of the bound, so its blocks too come side by side."""
    source = copies(parts.shards["whole"], 8)
    source.delay = 0.02
    source.slow_to_open = {"0"}

    assert len(transcript(of(source), 12 * MIB, Ledger("raise"))) == 8 * 37

    assert source.most_of_first >= 3


@pytest.mark.parametrize("have_come", [True, False])
def test_shards_that_are_passed_over_take_no_room(parts: Parts, have_come: bool) -> None:
    """What was fetched of them, or was on its way, is let go; reading ahead goes on as before."""
    source = copies(parts.shards["whole"], 14)
    source.delay = 0.01 if have_come else 0.1
    n = 0

    for turn in read_shards(of(source), prefetch_bytes=8 * MIB):
        if turn.number < 10:
            turn.open()
            time.sleep(0.02)
            source.under_way.clear()  # those that are cut do not return
            source.most_at_once = 0
            continue
        source.delay = 0.02
        n += sum(map(len, turn.chunks()))  # type: ignore[arg-type]

    assert n == 4 * 36
    assert source.most_at_once >= 3


def test_local_shards_need_no_thread(parts: Parts, tmp_path: Path) -> None:
    """Where all is on this machine, reading ahead is left to it."""
    paths = [write_shard(tmp_path, payloads(5, 2000))] * 3
    source = URLSource([str(path) for path in paths])
    before = threading.active_count()

    for turn in read_shards(of(source), prefetch_bytes=64 * MIB):
        for _ in turn.chunks():
            assert threading.active_count() == before


def test_a_source_of_streams_alone_is_used_in_one_thread() -> None:
    """It may hold them in memory, or be bound to a thread."""
    source = Memory({"a": tar_of([("0.msgpack", b"0"), ("1.msgpack", b"1")])})
    before = threading.active_count()

    for turn in read_shards(of(source), prefetch_bytes=64 * MIB):
        assert sum(map(len, turn.chunks())) == 2  # type: ignore[arg-type]
        assert threading.active_count() == before


@pytest.mark.parametrize("kind", ["whole", "damaged", "spoiled", "foreign", "local", "refused"])
def test_a_row_to_begin_with_may_be_known_late(parts: Parts, kind: str) -> None:
    """What was fetched before it is dropped, errors included."""

    def rest(start: int, prefetch_bytes: int) -> list[str]:
        found: list[str] = []
        for turn in read_shards([Wanted(parts, kind)], prefetch_bytes=prefetch_bytes):
            try:
                for item in turn.chunks(start=start):
                    found += [str(item)] if isinstance(item, ShardError) else item.key_list()
            except AtdataError as error:
                found.append(str(error))
        return found

    for start in (0, 3, 9, 20, 29, 36, 50):
        assert rest(start, 64 * MIB) == rest(start, 0)


def test_a_turn_can_be_read_again(parts: Parts) -> None:
    """A second reading fetches anew, also after the turn is over."""
    turns = read_shards(of(parts, ["whole", "small"]), prefetch_bytes=MIB)
    turn = next(turns)

    first = [key for item in turn.chunks() for key in item.key_list()]  # type: ignore[union-attr]
    again = [key for item in turn.chunks() for key in item.key_list()]  # type: ignore[union-attr]
    next(turns)
    later = [key for item in turn.chunks() for key in item.key_list()]  # type: ignore[union-attr]
    turns.close()

    assert first == again == later
    assert len(first) == 36


def test_an_error_of_what_is_wanted_comes_in_its_place(parts: Parts) -> None:
    """The shards before it are read, though they were asked for ahead."""

    def failing() -> Iterator[Wanted]:
        yield from of(parts, ["small", "small"])
        raise LookupError("no more")

    seen: list[int] = []
    with pytest.raises(LookupError, match="no more"):
        seen.extend(
            sum(map(len, turn.chunks()))  # type: ignore[arg-type]
            for turn in read_shards(failing(), prefetch_bytes=MIB)
        )

    assert seen == [5, 5]
    assert threads() == []


def test_an_opener_may_bring_shards_here(parts: Parts, tmp_path: Path) -> None:
    """Shards that it maps are read as they are, and several are brought at once."""
    path = write_shard(tmp_path, payloads(5, 2000))
    names: set[str] = set()

    def bring(source: Any, shard_id: str) -> Any:
        names.add(threading.current_thread().name)
        return open_shard(URLSource(path), str(path))

    found = [
        key
        for turn in read_shards(of(copies(b"", 9)), prefetch_bytes=MIB, opener=bring)
        for item in turn.chunks()
        if not isinstance(item, ShardError)
        for key in item.key_list()
    ]

    assert len(found) == 45
    assert names == {"atdata-fetch"}


@settings(max_examples=8)
@given(
    seed=st.integers(0, 1000),
    prefetch_bytes=st.sampled_from([0, 1, 64 * MIB]),
)
def test_no_sample_is_lost_to_cut_connections(
    server: FileServer, parts: Parts, seed: int, prefetch_bytes: int
) -> None:
    """However a server cuts, resets, refuses for a while: all samples come, once, in order."""
    chance = random.Random(seed)
    urls = [server.put(f"{i}.tar", parts.shards["whole"]) for i in range(3)]
    kinds = [
        Fault(),
        Fault(cut=chance.randrange(900_000)),
        Fault(status=503),
        Fault(cut=7, reset=True),
    ]
    server.faults.clear()
    server.next(*chance.choices(kinds, weights=[12, 1, 1, 1], k=12))
    ledger = Ledger("raise")

    seen = transcript(of(URLSource(urls)), prefetch_bytes, ledger)

    server.faults.clear()
    assert [row[0] for row in seen if len(row) == 4] == [*range(36)] * 3
    assert ledger.n_skipped == 0


def test_a_server_without_ranges_is_read_as_streams(server: FileServer, parts: Parts) -> None:
    """One after the other, each read ahead in a thread."""
    server.always = Fault(ignore_range=True)
    big = tar_of((f"{i:04d}.msgpack", p) for i, p in enumerate(payloads(90, 150_000)))
    urls = [server.put(f"{i}.tar", data) for i, data in enumerate([big, parts.shards["foreign"]])]

    seen = transcript(of(URLSource(urls)), 8 * MIB, Ledger("raise"))

    assert [row[0] for row in seen if len(row) == 4] == [*range(90), *range(30)]
    assert [row for row in seen if len(row) == 2] == [(0, "Stream"), (1, "Stream")]


@pytest.mark.parametrize("fault", [Fault(delay=60), Fault(pause=60), Fault(status=503)])
def test_leaving_cuts_requests(server: FileServer, parts: Parts, fault: Fault) -> None:
    """A server that hangs holds nobody up: what is under way is cut, and threads end."""
    urls = [server.put(f"{i}.tar", parts.shards["whole"]) for i in range(3)]
    turns = read_shards(of(URLSource(urls)), prefetch_bytes=64 * MIB)
    next(next(turns).chunks())
    server.always = fault
    time.sleep(0.2)
    began = time.monotonic()
    turns.close()

    assert time.monotonic() - began < 2
    assert threads() == []


def test_a_dead_shard_does_not_hold_up_the_next(parts: Parts) -> None:
    """When a turn ends, what is still under way for it is cut."""
    source = copies(parts.shards["whole"], 3)
    source.stuck = {"0", "1"}
    turns = read_shards(of(source), prefetch_bytes=64 * MIB)
    next(turns).open()
    settled(lambda: source.n_requests)

    began = time.monotonic()
    next(turns).open()
    found = sum(map(len, next(turns).chunks()))  # type: ignore[arg-type]
    turns.close()

    assert found == 36
    assert time.monotonic() - began < 5


PROGRAM = """
import gc, hashlib, os, sys, threading, time
from contextlib import closing
from atdata.pipeline.remote import Wanted, read_shards
from atdata.sources.url import URLSource
from atdata.shard.chunk import Chunk

source = URLSource(sys.argv[2:])
def reading():
    return read_shards([Wanted(source, s) for s in source.list_shards()], prefetch_bytes=64 << 20)
def digest(turns):
    seen = hashlib.sha256()
    for turn in turns:
        for item in turn.chunks():
            for i in range(len(item)):
                seen.update(item.payload(i))
    return seen.hexdigest()
def sockets():
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try: target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError: continue
        if target.startswith("socket:"): found.add(target)
    return found
"""

LEAVING = """
turns = reading()
def use():
    for turn in turns:
        for item in turn.chunks():
            print("reading", len(sockets()) > 0, flush=True)
            if sys.argv[1] == "raise": raise KeyError
            if sys.argv[1] == "interrupt": time.sleep(30)
            if sys.argv[1] == "break": return
            if sys.argv[1] == "exit": sys.exit()
try:
    use()
except (KeyError, KeyboardInterrupt) as error:
    print(type(error).__name__)
    del error
if sys.argv[1] != "finish":
    del turns
gc.collect()
print(threading.active_count(), len(sockets()))
"""


def run(code: str, *args: str) -> subprocess.Popen[str]:
    """A program of its own."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM + code, *args]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("how", ["break", "raise", "interrupt", "finish", "exit"])
def test_leaving_leaves_no_thread_and_no_socket(
    server: FileServer, parts: Parts, how: str
) -> None:
    """However a program leaves the loop, nothing is open afterwards, and it can exit."""
    urls = [server.put(f"{i}.tar", parts.shards["whole"]) for i in range(4)]

    with run(LEAVING, how, *urls) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline() == "reading True\n"
        if how == "interrupt":
            program.send_signal(signal.SIGINT)
        out, err = program.stdout.read(), program.stderr.read()

    assert (program.returncode, err) == (0, "")
    assert how == "exit" or out.splitlines()[-1] == "1 0"


FORKING = """
turns = reading()
turn = next(turns)
chunks = turn.chunks()
first = next(chunks)
mine = sockets()
print(len(mine) > 0, flush=True)
child = os.fork()
if child == 0:
    print(len(mine & sockets()), flush=True)
    for use in (lambda: next(chunks), lambda: next(turns)):
        try: use()
        except RuntimeError as error: print("forked" in str(error), flush=True)
    del use, chunks
    turns.close()
    print(digest(reading()), threading.active_count(), flush=True)
    sys.exit()
print(os.waitpid(child, 0)[1])
seen = hashlib.sha256()
def rest():
    yield first
    yield from chunks
    for one in turns: yield from one.chunks()
for item in rest():
    for i in range(len(item)): seen.update(item.payload(i))
print(seen.hexdigest(), threading.active_count())
"""


def test_a_fork_shares_no_socket_and_no_thread(server: FileServer, parts: Parts) -> None:
    """A child that is forked in the middle of a reading reads on its own; the parent goes on."""
    urls = [server.put(f"{i}.tar", parts.shards["whole"]) for i in range(4)]
    wanted = hashlib.sha256(b"".join(payloads(36)) * 4).hexdigest()

    with run(FORKING, "fork", *urls) as program:
        out, err = program.communicate(timeout=60)

    assert err == ""
    assert out.splitlines() == ["True", "0", "True", "True", f"{wanted} 1", "0", f"{wanted} 1"]


HAMMERED = """
from atdata.shard.ranged import open_ranged
shard = open_ranged(source, source.list_shards()[0])
done = threading.Event()
def hammer():
    while not done.is_set():
        for row in range(0, 36, 5): shard.chunk_of(row, "auto")
crew = [threading.Thread(target=hammer) for _ in range(4)]
for one in crew: one.start()
codes = []
for _ in range(10):
    child = os.fork()
    if child == 0:
        sizes = [len(shard.chunk_of(row, "auto").payload(0)) for row in range(36)]
        os._exit(sizes != [150_000 - 7 * row for row in range(36)])
    codes.append(os.waitpid(child, 0)[1])
done.set()
for one in crew: one.join()
print(codes)
"""


def test_a_fork_among_busy_threads_reads(server: FileServer, parts: Parts) -> None:
    """No lock that another thread held at that moment stops a child."""
    url = server.put("a.tar", parts.shards["whole"])

    with run(HAMMERED, "hammer", url) as program:
        out, err = program.communicate(timeout=60)

    assert (out.strip(), err) == (str([0] * 10), "")


def test_many_threads_read_one_shard(server: FileServer, parts: Parts) -> None:
    """Connections are shared by threads, and each gets its own answer."""
    data = parts.shards["whole"]
    url = server.put("a.tar", data)
    shard = open_ranged(URLSource(url), url)
    assert shard is not None
    spans = [(random.Random(i).randrange(len(data) - 9000), 9000) for i in range(200)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda span: http.read_range(url, *span), spans))
        samples = list(
            pool.map(lambda row: bytes(shard.chunk_of(row % 36, "auto").payload(0)), range(144))
        )

    assert found == [data[start : start + n] for start, n in spans]
    assert samples == payloads(36) * 4
