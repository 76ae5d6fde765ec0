"""Shards from elsewhere, kept as files: whole, once, within a bound, and shared by processes."""

import bz2
import gzip
import lzma
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.http_server import Fault, FileServer
from tests.shard.archives import write_shards

from atdata._exceptions import ShardError, ShardNotFoundError, SourceError
from atdata._protocols import DataSource, SupportsVersion
from atdata.shard.index import index_span, parse
from atdata.shard.mapped import MappedShard
from atdata.sources import cache as cache_module
from atdata.sources import download, remembered
from atdata.sources.cache import ShardCache, cache_folder
from atdata.sources.url import URLSource
from atdata.transport import http

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHANCE = random.Random(7)
PAYLOADS = [CHANCE.randbytes(100_000) for _ in range(60)]


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A shard of six blocks."""
    [made] = write_shards(tmp_path_factory.mktemp("made"), PAYLOADS)
    return Path(made.path).read_bytes()


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A shard of the same size with other samples."""
    [made] = write_shards(tmp_path_factory.mktemp("other"), PAYLOADS[::-1])
    return Path(made.path).read_bytes()


@pytest.fixture
def cache(tmp_path: Path) -> ShardCache:
    """A cache in a folder of its own."""
    return ShardCache(tmp_path / "cache")


class Far:
    """A source of one's own, which gives ranges and can be told to misbehave.

    Attributes:
        data: The shards.
        reads: The ranges that were read.
        spoil: Changes the bytes of a range on their way, given its start and number.
    """

    def __init__(self, **data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []
        self.spoil: Callable[[int, int, bytes], bytes] = lambda start, number, found: found

    def list_shards(self) -> list[str]:
        return list(self.data)

    def open_shard(self, shard_id: str) -> BinaryIO:
        return BytesIO(self.data[shard_id])

    def shard_size(self, shard_id: str) -> int:
        return len(self.data[shard_id])

    def read_range(self, shard_id: str, start: int, length: int) -> bytes:
        data = self.data[shard_id]
        self.reads.append((start, length))
        first = start if start >= 0 else len(data) + start
        return self.spoil(first, len(self.reads), data[first : first + length])


class Stream:
    """A source that gives streams, and a version if it has one."""

    def __init__(self, data: bytes, version: str | None = None) -> None:
        self.data = data
        self.version = version
        self.n_opened = 0

    def list_shards(self) -> list[str]:
        return ["s"]

    def open_shard(self, shard_id: str) -> BinaryIO:
        assert shard_id == "s"
        self.n_opened += 1
        return BytesIO(self.data)

    def shard_version(self, shard_id: str) -> str | None:
        assert shard_id == "s"
        return self.version


def flipped(data: bytes, at: int) -> bytes:
    """The same bytes, but for one bit."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def read(shard: MappedShard) -> tuple[list[bytes], list[ShardError]]:
    """The payloads that can be read, and the errors."""
    payloads: list[bytes] = []
    errors: list[ShardError] = []
    for item in shard.chunks():
        if isinstance(item, ShardError):
            errors.append(item)
        else:
            payloads += [bytes(item.payload(i)) for i in range(len(item))]
    return payloads, errors


def files(cache: ShardCache) -> list[str]:
    """The names in a cache's folder."""
    return sorted(path.name for path in cache.folder.glob("*"))


def source_of(url: str | Path | Sequence[str]) -> tuple[URLSource, str]:
    """A source, and its first shard."""
    source = URLSource(url)
    return source, source.list_shards()[0]


def test_a_shard_is_fetched_once(server: FileServer, shard: bytes, cache: ShardCache) -> None:
    """The same process asks nothing again; who looks anew reads the index and finds the file."""
    source, shard_id = source_of(server.put("a.tar", shard))

    path = cache.fetch(source, shard_id)
    n_first = len(server.seen)
    again = cache.fetch(source, shard_id)
    n_again = len(server.seen)
    anew = cache.fetch(*source_of(shard_id))

    assert path.read_bytes() == shard
    assert path == again == anew
    assert files(cache) == [path.name]
    assert n_again == n_first == 2 + 2
    assert len(server.seen) == n_again + 2
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_shard_of_a_plain_file_stays_where_it_is(tmp_path: Path, cache: ShardCache) -> None:
    """Nothing is copied that can be mapped already, and what is not there is an error."""
    [made] = write_shards(tmp_path, [b"a"])
    source, shard_id = source_of(tmp_path / "s-000.tar")

    assert cache.fetch(source, shard_id) == Path(made.path)
    assert not cache.folder.exists()
    with pytest.raises(ShardNotFoundError):
        cache.fetch(*source_of(tmp_path / "none.tar"))


def test_a_cache_is_a_value(
    cache: ShardCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It pickles, its folder does not follow the working directory, and the default is known."""
    monkeypatch.chdir(tmp_path)

    assert pickle.loads(pickle.dumps(cache)) == cache
    assert ShardCache(Path("here")).folder == tmp_path / "here"
    monkeypatch.setenv("ATDATA_CACHE_DIR", str(tmp_path / "there"))
    assert ShardCache().folder == cache_folder() == tmp_path / "there"
    monkeypatch.delenv("ATDATA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "atdata" / "shards"
    with pytest.raises(ValueError, match="-1 bytes"):
        ShardCache(tmp_path, -1)


def test_threads_fetch_once(server: FileServer, shard: bytes, cache: ShardCache) -> None:
    """Threads that want one shard at once wait for the first of them."""
    source, shard_id = source_of(server.put("a.tar", shard))

    with ThreadPoolExecutor(6) as threads:
        paths = set(threads.map(lambda _: cache.fetch(source, shard_id), range(12)))

    assert len(paths) == 1
    assert len(server.seen) == 4


FETCH = """
import sys
from pathlib import Path
from atdata.sources.cache import ShardCache
from atdata.sources.url import URLSource
folder, url = sys.argv[1:3]
source = URLSource(url)
print("begun", flush=True)
path = ShardCache(Path(folder)).fetch(source, url)
print(path, flush=True)
"""


@contextmanager
def running(script: str, *args: object) -> Iterator[subprocess.Popen[str]]:
    """A process that runs a script, and is gone after the block."""
    command = [sys.executable, "-c", script, *map(str, args)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def has_part(cache: ShardCache) -> bool:
    """Whether something is being filled."""
    return any(name.endswith(".part") for name in files(cache))


def n_ranges(server: FileServer) -> int:
    """How many ranges of samples were asked for."""
    spans = [seen.headers.get("range", "") for seen in server.seen]
    return len([span for span in spans if not span.startswith("bytes=-") and span != "bytes=0-0"])


def test_processes_fetch_once(server: FileServer, shard: bytes, cache: ShardCache) -> None:
    """Of processes that start together, one fetches, and the others take what it has fetched."""
    url = server.put("a.tar", shard)
    server.always = Fault(delay=0.05)

    with running(FETCH, cache.folder, url) as one, running(FETCH, cache.folder, url) as two:
        paths = {process.communicate(timeout=30)[0].split()[-1] for process in (one, two)}

    assert len(paths) == 1
    assert n_ranges(server) == 2
    assert files(cache) == [Path(paths.pop()).name]


def test_a_killed_process_leaves_nothing_that_matters(
    server: FileServer, shard: bytes, cache: ShardCache
) -> None:
    """After kill -9 in mid-download, the next one takes over and nothing else stays behind."""
    url = server.put("a.tar", shard)
    server.next(Fault(), Fault(), Fault(cut=3_000_000), Fault(delay=3600), Fault(delay=3600))

    with running(FETCH, cache.folder, url) as process:
        until(lambda: n_ranges(server) >= 2 and has_part(cache))
        process.kill()
    left = files(cache)
    server.faults.clear()
    path = cache.fetch(*source_of(url))

    assert [name.endswith(".part") for name in left] == [True]
    assert path.read_bytes() == shard
    assert files(cache) == [path.name]


def test_what_a_killed_process_left_is_removed_with_the_next_shard(
    server: FileServer, shard: bytes, other: bytes, cache: ShardCache
) -> None:
    """A left-over of one shard goes when any other is added, and one in use does not."""
    one, two = server.put("one.tar", shard), server.put("two.tar", other)
    server.next(Fault(), Fault(), Fault(delay=3600), Fault(delay=3600))

    with running(FETCH, cache.folder, one) as process:
        until(lambda: n_ranges(server) == 2 and has_part(cache))
        first = cache.fetch(*source_of(two))
        beside = files(cache)
        process.kill()
    server.faults.clear()
    first.unlink()
    second = cache.fetch(*source_of(two))

    assert len(beside) == 2
    assert files(cache) == [second.name]


def test_who_waits_takes_over_from_the_killed(
    server: FileServer, shard: bytes, cache: ShardCache
) -> None:
    """A process that waits for another fetches for itself when that one is killed."""
    url = server.put("a.tar", shard)
    server.next(Fault(), Fault(), Fault(delay=3600), Fault(delay=3600))

    with running(FETCH, cache.folder, url) as one:
        until(lambda: n_ranges(server) == 2 and has_part(cache))
        with running(FETCH, cache.folder, url) as two:
            until(lambda: len(server.seen) == 4 + 2)
            waited = two.poll() is None
            one.kill()
            printed, errors = two.communicate(timeout=30)

    assert waited
    assert not errors
    assert Path(printed.split()[-1]).read_bytes() == shard


def test_a_process_that_was_stopped_holds_nobody_up_for_ever(
    server: FileServer, shard: bytes, cache: ShardCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another process does not get on with it, this one fetches for itself alone."""
    monkeypatch.setattr(cache_module, "_STALLED", 0.2)
    url = server.put("a.tar", shard)
    server.next(Fault(), Fault(), Fault(delay=1), Fault(delay=1))

    with running(FETCH, cache.folder, url) as process:
        until(lambda: n_ranges(server) == 2 and has_part(cache))
        process.send_signal(signal.SIGSTOP)
        opened = cache.open(*source_of(url))
        process.send_signal(signal.SIGCONT)
        printed, _ = process.communicate(timeout=30)

    assert read(opened) == (PAYLOADS, [])
    assert files(cache) == [Path(printed.split()[-1]).name]


FORK = """
import os, sys, threading, time
from pathlib import Path
from atdata.sources.cache import ShardCache
from atdata.sources.url import URLSource
folder, url = sys.argv[1:3]
source = URLSource(url)
thread = threading.Thread(target=ShardCache(Path(folder)).fetch, args=(source, url), daemon=True)
thread.start()
sys.stdin.readline()
child = os.fork()
if child == 0:
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
time.sleep(60)
"""


def test_a_fork_does_not_keep_the_lock(
    server: FileServer, shard: bytes, cache: ShardCache
) -> None:
    """When a process is killed in mid-download, a child that it forked holds nobody up."""
    url = server.put("a.tar", shard)
    server.next(Fault(), Fault(), Fault(delay=3600), Fault(delay=3600))
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(cache.folder), url]

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        until(lambda: n_ranges(server) == 2 and has_part(cache))
        parent.stdin.write("\n")
        parent.stdin.flush()
        child = int(parent.stdout.readline())
        parent.kill()
        server.faults.clear()
        began = time.monotonic()
        path = cache.fetch(*source_of(url))
        took = time.monotonic() - began
        os.kill(child, signal.SIGKILL)

    assert path.read_bytes() == shard
    assert took < 5


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_knows_what_its_parent_knew(
    server: FileServer, shard: bytes, cache: ShardCache
) -> None:
    """After a fork, nothing is asked again, and a file without a name is still there."""
    named, unnamed = Stream(shard, "1"), Stream(shard)
    paths = cache.fetch(named, "s"), cache.fetch(unnamed, "s")

    child = os.fork()
    if child == 0:
        status = 1
        try:
            same = (cache.fetch(named, "s"), cache.fetch(unnamed, "s")) == paths
            once = (named.n_opened, unnamed.n_opened) == (1, 1)
            status = 0 if same and once and paths[1].read_bytes() == shard else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def small_shards(folder: Path, n: int) -> dict[str, bytes]:
    """Some shards of one size."""
    shards = {}
    for i in range(n):
        [made] = write_shards(folder / f"{i}", [b"%d" % i])
        shards[f"s{i}"] = Path(made.path).read_bytes()
    return shards


@settings(max_examples=20)
@given(wanted=st.lists(st.integers(0, 5), max_size=14), room=st.integers(0, 4))
def test_what_was_used_least_recently_goes(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[int], room: int
) -> None:
    """For any order of use, those are kept that were used last, and the one just added always."""
    folder = tmp_path_factory.mktemp("evict")
    source = Far(**small_shards(folder, 6))
    size = len(source.data["s0"])
    cache = ShardCache(folder / "cache", room * size + 100)
    kept: list[int] = []

    for i in wanted:
        cache.fetch(source, f"s{i}")
        if i in kept:
            kept.remove(i)
            kept.append(i)
        else:
            kept = [*kept, i][-max(1, room) :]

        found = {path.read_bytes() for path in cache.folder.iterdir()}
        assert found == {source.data[f"s{j}"] for j in kept}


def test_only_what_is_ours_is_removed(tmp_path: Path, cache: ShardCache) -> None:
    """Files that happen to lie in the folder stay there."""
    cache.folder.mkdir()
    for name in ("mine.tar", "notes.part", ".x.part"):
        (cache.folder / name).write_bytes(b"mine")

    ShardCache(cache.folder, 0).fetch(Far(**small_shards(tmp_path, 1)), "s0")

    assert {"mine.tar", "notes.part", ".x.part"} < set(files(cache))


def test_a_removed_shard_can_still_be_read_and_is_fetched_again(
    server: FileServer, shard: bytes, cache: ShardCache
) -> None:
    """Who has a file mapped keeps it; who asks later fetches it; also when the folder is gone."""
    source, shard_id = source_of(server.put("a.tar", shard))
    opened = cache.open(source, shard_id)

    shutil.rmtree(cache.folder)

    assert read(opened) == (PAYLOADS, [])
    assert cache.fetch(source, shard_id).read_bytes() == shard


def test_a_use_does_not_disturb_who_reads(
    server: FileServer, shard: bytes, cache: ShardCache
) -> None:
    """Noting that a file is used does not look like a change to those who have it mapped."""
    source, shard_id = source_of(server.put("a.tar", shard))
    opened = cache.open(source, shard_id)
    before = cache.fetch(source, shard_id).stat()

    after = cache.fetch(source, shard_id).stat()

    opened.unchanged()
    assert after.st_atime_ns > before.st_atime_ns
    assert after.st_mtime_ns == before.st_mtime_ns
    assert cache.open(source, shard_id) is opened


EVICT = """
import random, sys
from pathlib import Path
from atdata.sources.cache import ShardCache
from atdata.sources.url import URLSource
folder, bound, *urls = sys.argv[1:]
cache = ShardCache(Path(folder), int(bound))
for _ in range(15):
    url = random.choice(urls)
    assert len(cache.open(URLSource(url), url)) == 1
"""


def test_processes_that_make_room_at_once_do_not_fail(
    server: FileServer, tmp_path: Path, cache: ShardCache
) -> None:
    """With room for one shard and two processes that want many, both get all they want."""
    shards = small_shards(tmp_path, 4)
    urls = [server.put(f"{name}.tar", data) for name, data in shards.items()]
    bound = len(shards["s0"])

    with (
        running(EVICT, cache.folder, bound, *urls) as one,
        running(EVICT, cache.folder, bound, *urls) as two,
    ):
        errors = [process.communicate(timeout=60)[1] for process in (one, two)]

    assert errors == ["", ""]
    assert len(files(cache)) == 1


def test_a_changed_shard_gets_a_file_of_its_own(
    server: FileServer, shard: bytes, other: bytes, cache: ShardCache
) -> None:
    """Who opens the source anew gets what is there now, never what was there before."""
    source, shard_id = source_of(server.put("a.tar", shard))
    before = cache.fetch(source, shard_id)

    server.put("a.tar", other)
    after = cache.fetch(*source_of(shard_id))

    assert (before.read_bytes(), after.read_bytes()) == (shard, other)
    assert cache.fetch(source, shard_id) == before


def test_a_shard_that_changes_while_it_is_fetched_is_fetched_again(
    tmp_path: Path, shard: bytes, other: bytes, cache: ShardCache
) -> None:
    """Bytes of two states are never put together, and a shard that never rests is an error."""
    source = Far(s=shard)

    def change(start: int, number: int, found: bytes) -> bytes:
        source.data["s"] = other
        return found

    source.spoil = change
    path = cache.fetch(source, "s")
    states = list(small_shards(tmp_path, 20).values())
    restless = Far(s=states.pop())

    def keep_changing(start: int, number: int, found: bytes) -> bytes:
        restless.data["s"] = states.pop()
        return found

    restless.spoil = keep_changing

    assert path.read_bytes() == other
    with pytest.raises(SourceError, match="changed each time"):
        ShardCache(cache.folder / "2").fetch(restless, "s")
    assert files(ShardCache(cache.folder / "2")) == []


def test_a_shard_that_shrinks_while_it_is_fetched_is_fetched_again(
    server: FileServer, tmp_path: Path, shard: bytes, cache: ShardCache
) -> None:
    """A range that is not there any more leads to another look."""
    url = server.put("a.tar", shard)
    [small] = small_shards(tmp_path, 1).values()

    class Shrinking(URLSource):
        def read_range(self, shard_id: str, start: int, length: int) -> bytes:
            if start >= 0:
                server.put("a.tar", small)
            return super().read_range(shard_id, start, length)

    path = cache.fetch(Shrinking(url), url)

    assert path.read_bytes() == small


def test_cut_connections_lose_nothing(server: FileServer, shard: bytes, cache: ShardCache) -> None:
    """Connections that are cut or reset at any place are taken up where they ended."""
    url = server.put("a.tar", shard)
    server.next(
        Fault(), Fault(cut=1000), Fault(cut=700_000), Fault(cut=0, reset=True), Fault(cut=1)
    )

    assert cache.fetch(*source_of(url)).read_bytes() == shard


def test_a_cut_stream_that_cannot_be_taken_up_begins_anew(
    server: FileServer, shard: bytes, cache: ShardCache
) -> None:
    """Where a server cannot say that a file is the same, what came of it is thrown away."""
    url = server.put("a.tar.gz", gzip.compress(shard, 1))
    bare = {"ETag": None, "Last-Modified": None}
    server.always = Fault(headers=bare, ignore_range=True)
    server.next(server.always, server.always, server.always)
    server.next(Fault(headers=bare, ignore_range=True, cut=3_000_000))

    assert cache.fetch(*source_of(url)).read_bytes() == shard


def test_an_index_that_takes_more_than_one_read_is_put_together(
    tmp_path: Path, cache: ShardCache
) -> None:
    """Many small samples have a large index."""
    [made] = write_shards(tmp_path, [b"%d" % i for i in range(40_000)])
    source = Far(s=Path(made.path).read_bytes())

    path = cache.fetch(source, "s")

    assert path.read_bytes() == source.data["s"]
    assert min(source.reads)[0] < 0
    assert len([start for start, _ in source.reads if start > 40_000_000]) == 1
    assert cache.fetch(Far(**source.data), "s") == path


@pytest.mark.parametrize("at", [1000, 2_500_000, -2000], ids=["start", "middle", "index"])
def test_bytes_that_are_damaged_on_their_way_are_fetched_again(
    shard: bytes, cache: ShardCache, at: int
) -> None:
    """A bit that flips once is found and mended, wherever it is."""
    source = Far(s=shard)
    place = at % len(shard)
    times = iter([True, True])

    def spoil(start: int, number: int, found: bytes) -> bytes:
        if start <= place < start + len(found) and next(times, False):
            return flipped(found, place - start)
        return found

    source.spoil = spoil
    path = cache.fetch(source, "s")

    assert path.read_bytes() == shard
    assert sum(length for _, length in source.reads) < len(shard) + 4_000_000


def test_a_short_range_is_an_error(shard: bytes, cache: ShardCache) -> None:
    """A source that breaks its word is named, and nothing is left."""
    source = Far(s=shard)
    source.spoil = lambda start, number, found: found[: max(300_000, len(found) - 1)]

    with pytest.raises(ShardError, match="gave 4194303 bytes for 4194304"):
        cache.fetch(source, "s")

    assert files(cache) == []


def test_damage_at_the_source_is_reported_by_block(shard: bytes, cache: ShardCache) -> None:
    """What cannot be mended has no name in the cache; the rest of it can be read, and again."""
    source = Far(s=flipped(shard, 2_500_000))

    opened = cache.open(source, "s")
    n_reads = len(source.reads)
    payloads, [error] = read(opened)

    assert files(cache) == []
    assert "block 2" in error.reason
    assert error.shard_id == "s"
    assert set(payloads) < set(PAYLOADS)
    assert len(payloads) > 45
    assert cache.open(source, "s") is opened
    assert len(source.reads) == n_reads


def test_a_forged_block_is_not_delivered(shard: bytes, cache: ShardCache) -> None:
    """A block whose XXH3 agrees and whose BLAKE3 does not is damaged for the reader as well."""
    span = index_span(shard[-1 << 20 :], len(shard))
    assert span is not None
    index = parse(shard[-span:])
    assert index.proof is not None
    wrong = bytearray(shard)
    place = shard.index(index.proof[1].tobytes())
    wrong[place] ^= 1
    _mend_index(wrong, span)
    sources: list[DataSource] = [Far(s=bytes(wrong)), Stream(bytes(wrong), "1")]

    for source in sources:
        payloads, [error] = read(cache.open(source, "s"))

        assert "block 1" in error.reason
        assert len(payloads) < len(PAYLOADS)
        assert files(cache) == []


def _mend_index(shard: bytearray, span: int) -> None:
    """Put the index's own digest right."""
    from xxhash import xxh3_64_intdigest

    end = len(shard) - 1024
    body = bytes(shard[len(shard) - span + 512 : end - 8])
    shard[end - 8 : end] = xxh3_64_intdigest(body).to_bytes(8, "little")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_compressed_shards_are_kept_plain(
    server: FileServer, cache: ShardCache, tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    """Whatever a shard is compressed with, here or on a server, it is decompressed once."""
    [shard] = small_shards(tmp_path, 1).values()
    url = server.put("a.tar.packed", compress(shard))
    (tmp_path / "here").write_bytes(compress(shard))

    path = cache.fetch(*source_of(url))
    n = len(server.seen)
    anew = cache.fetch(*source_of(url))
    here = cache.fetch(*source_of(tmp_path / "here"))

    assert path.read_bytes() == here.read_bytes() == shard
    assert anew == path
    assert all("range" in seen.headers for seen in server.seen[n:])
    assert files(cache) == sorted([path.name, here.name])


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_damaged_compression_is_an_error_or_leaves_what_came_before(
    tmp_path: Path, cache: ShardCache, compress: Callable[[bytes], bytes]
) -> None:
    """What came before the damage can be read, and something always says that more is missing."""
    [shard] = small_shards(tmp_path, 1).values()
    packed = compress(shard)
    for at in range(7, len(packed), max(1, len(packed) // 40)):
        for wrong in (packed[:at], flipped(packed, at)):
            found: list[bytes] = []
            errors: list[ShardError] = []
            try:
                found, errors = read(cache.open(Stream(wrong, f"{wrong!r}"), "s"))
            except ShardError as error:
                errors = [error]

            assert found in ([], [b"0"])
            assert errors or found == [b"0"]


def test_a_stream_that_swells_or_is_too_large_is_refused(
    cache: ShardCache, monkeypatch: pytest.MonkeyPatch, shard: bytes
) -> None:
    """Neither a bomb nor a shard beyond all bounds fills the disk."""
    monkeypatch.setattr(cache_module, "_LEAST_LIMIT", 1 << 20)
    small = ShardCache(cache.folder, 1000)
    sources: list[DataSource] = [Far(s=shard), Stream(shard), Stream(gzip.compress(shard), "1")]

    for source in sources:
        with pytest.raises(ShardError, match="more than 1048576 bytes, which is more than"):
            small.fetch(source, "s")
        assert files(cache) == []
    monkeypatch.undo()
    with pytest.raises(ShardError, match="swells"):
        cache.fetch(Stream(zstd.compress(bytes(300 << 20))), "s")
    assert files(cache) == []


def test_a_server_without_ranges_is_read_as_a_stream(
    server: FileServer, shard: bytes, cache: ShardCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the index cannot be had by itself, the version names the shard."""
    monkeypatch.setattr(http, "_MOST_DISCARDED", 100_000)
    url = server.put("a.tar", shard)
    server.always = Fault(ignore_range=True)

    path = cache.fetch(*source_of(url))
    anew = cache.fetch(*source_of(url))

    assert path.read_bytes() == shard
    assert anew == path
    assert files(cache) == [path.name]


def test_a_shard_without_an_index_is_kept_by_its_version(
    shard: bytes, other: bytes, cache: ShardCache
) -> None:
    """Another version is another file; of two states of a shard, no mixture is kept."""
    one, two = Stream(shard, "1"), Stream(other, "2")

    assert cache.fetch(one, "s").read_bytes() == shard
    assert cache.fetch(two, "s").read_bytes() == other
    assert cache.fetch(Stream(b"", "1"), "s").read_bytes() == shard

    class Changing(Stream):
        def open_shard(self, shard_id: str) -> BinaryIO:
            found = super().open_shard(shard_id)
            if self.n_opened == 1:
                self.data, self.version = other, "4"
            return found

    changing = Changing(shard, "3")
    assert cache.fetch(changing, "s").read_bytes() == other
    assert len(files(cache)) == 3


def test_a_shard_that_nothing_names_is_fetched_for_this_process_alone(
    shard: bytes, cache: ShardCache
) -> None:
    """It is fetched once, has no name, and is gone when nobody can ask for it any more."""
    source = Stream(shard)

    path = cache.fetch(source, "s")
    opened = cache.open(source, "s")

    assert files(cache) == []
    assert path.read_bytes() == shard
    assert read(opened) == (PAYLOADS, [])
    assert source.n_opened == 1
    del source, opened
    assert not path.exists()


def test_files_without_a_name_are_bounded(
    shard: bytes, cache: ShardCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By count and by size; who has one open keeps it, and who asks again fetches it again."""
    monkeypatch.setattr(remembered, "_MOST_UNNAMED", 3)
    sources = [Stream(shard) for _ in range(5)]
    first = cache.open(sources[0], "s")

    for source in sources:
        cache.fetch(source, "s")
    cache.fetch(sources[4], "s")
    cache.fetch(sources[0], "s")

    assert [source.n_opened for source in sources] == [2, 1, 1, 1, 1]
    assert read(first) == (PAYLOADS, [])
    small = ShardCache(cache.folder, len(shard) + 1)
    again = [Stream(shard), Stream(shard)]
    for source in (*again, *again):
        small.fetch(source, "s")
    assert [source.n_opened for source in again] == [2, 2]


def test_a_source_that_cannot_be_referred_to_weakly_is_remembered(
    shard: bytes, cache: ShardCache
) -> None:
    """Any object may be a source."""

    class Slotted:
        __slots__ = ("n_opened",)

        def __init__(self) -> None:
            self.n_opened = 0

        def list_shards(self) -> list[str]:
            return ["s"]

        def open_shard(self, shard_id: str) -> BinaryIO:
            assert shard_id == "s"
            self.n_opened += 1
            return BytesIO(shard)

    source = Slotted()

    assert cache.fetch(source, "s") == cache.fetch(source, "s")
    assert source.n_opened == 1


def test_an_archive_that_ends_too_early_has_no_name(shard: bytes, cache: ShardCache) -> None:
    """A stream that was cut without a word is not taken for the shard."""
    source = Stream(shard[:3_000_000], "1")

    payloads, [error] = read(cache.open(source, "s"))

    assert files(cache) == []
    assert PAYLOADS[: len(payloads)] == payloads
    assert "cut short" in error.reason or "missing" in error.reason


def test_a_file_that_is_damaged_in_the_cache_is_noticed(
    server: FileServer, shard: bytes, cache: ShardCache
) -> None:
    """A bit that flips on the disk is reported with its block when it is read."""
    url = server.put("a.tar", shard)
    path = cache.fetch(*source_of(url))
    with path.open("r+b") as file:
        file.seek(1_200_000)
        file.write(b"flipped")

    payloads, [error] = read(cache.open(*source_of(url)))

    assert "block 1" in error.reason
    assert error.shard_id == url
    assert 45 < len(payloads) < len(PAYLOADS)


@pytest.mark.parametrize("wrong", ["cut", "empty", "other", "long"])
def test_a_file_that_is_not_the_shard_is_replaced(
    server: FileServer, shard: bytes, other: bytes, cache: ShardCache, wrong: str
) -> None:
    """A file under the right name with another index, or none, is fetched again."""
    url = server.put("a.tar", shard)
    path = cache.fetch(*source_of(url))
    contents = {"cut": shard[:-1000], "empty": b"", "other": other, "long": shard + b"\0"}
    path.write_bytes(contents[wrong])

    again = cache.fetch(*source_of(url))

    assert again == path
    assert again.read_bytes() == shard


def test_an_address_that_is_signed_anew_finds_the_same_file(
    server: FileServer, shard: bytes, cache: ShardCache
) -> None:
    """With an index, what the query says does not matter; without one, it does."""
    url = server.put("a.tar", shard)
    packed = server.put("a.tar.gz", gzip.compress(shard, 1))

    one, two = (cache.fetch(*source_of(f"{url}?signed={n}")) for n in range(2))
    three, four = (cache.fetch(*source_of(f"{packed}?signed={n}")) for n in range(2))

    assert one == two
    assert three != four


FULL = """
import resource, sys
from pathlib import Path
from atdata.sources.cache import ShardCache
from atdata.sources.url import URLSource
folder, url = sys.argv[1:3]
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
try:
    ShardCache(Path(folder)).fetch(URLSource(url), url)
except OSError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_full_disk_leaves_nothing_and_says_what_to_do(
    server: FileServer, shard: bytes, cache: ShardCache, name: str
) -> None:
    """It is no error of the data, which a policy might pass over."""
    url = server.put(name, shard if name == "a.tar" else gzip.compress(shard, 1))

    with running(FULL, cache.folder, url) as process:
        printed, errors = process.communicate(timeout=30)

    assert errors == ""
    assert printed.startswith("OSError [Errno 27] File too large: a shard cannot be kept in the")
    assert "cache_dir" in printed
    assert files(cache) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, shard: bytes) -> None:
    """A file in the way of the folder is an error with advice."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(NotADirectoryError, match="another folder"):
        ShardCache(tmp_path / "file" / "cache").fetch(Far(s=shard), "s")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyError("no such"), ShardNotFoundError),
        (FileNotFoundError("no such"), ShardNotFoundError),
        (ConnectionResetError(104, "reset"), SourceError),
        (SourceError("x", "refused", status=403), SourceError),
    ],
)
def test_what_a_source_raises_is_an_error_of_ours(
    shard: bytes, cache: ShardCache, error: Exception, kind: type[Exception]
) -> None:
    """An error does not depend on who wrote the source, and leaves nothing behind."""

    class Failing(Stream):
        def open_shard(self, shard_id: str) -> BinaryIO:
            assert shard_id == "s"
            raise error

    class FailingRange(Far):
        n_good = 0

        def read_range(self, shard_id: str, start: int, length: int) -> bytes:
            if len(self.reads) == self.n_good:
                raise error
            return super().read_range(shard_id, start, length)

    with pytest.raises(kind):
        cache.fetch(Failing(b""), "s")
    for n_good in (0, 1):
        source = FailingRange(s=shard)
        source.n_good = n_good
        with pytest.raises(kind):
            cache.fetch(source, "s")
    assert files(cache) == []


def test_a_missing_shard_is_not_found(server: FileServer, cache: ShardCache) -> None:
    """What the server does not have is said at once."""
    with pytest.raises(ShardNotFoundError, match="404"):
        cache.fetch(*source_of(server.url("none.tar")))


def test_a_version_is_what_cannot_mean_two_states(server: FileServer) -> None:
    """A strong ETag, or a change that is over; nothing weak, fresh, or of unknown length."""
    url = server.put("a.tar", b"x" * 100)
    source = URLSource(url)
    old = "Mon, 01 Jan 2024 00:00:00 GMT"
    weak = {"ETag": 'W/"1"', "Last-Modified": old}

    def version(headers: dict[str, str | None], **more: bool) -> str | None:
        server.next(Fault(headers=headers, **more))
        return source.shard_version(url)

    assert isinstance(source, SupportsVersion)
    assert version({"ETag": '"1"'}) == '"1" 100'
    assert version({"ETag": '"1"'}, ignore_range=True) == '"1" 100'
    assert version(weak) == f"{old} 100"
    assert version({**weak, "Last-Modified": "Fri, 31 Dec 9999 23:59:59 GMT"}) is None
    assert version({**weak, "Last-Modified": "Mon, 01 Jan 2024 00:00:00 +" + "9" * 20}) is None
    assert version({**weak, "Last-Modified": "yesterday"}) is None
    assert version({**weak, "Last-Modified": None}) is None
    assert version({"ETag": '"1"'}, ignore_range=True, chunked=True) is None


def test_shards_are_fetched_ahead(server: FileServer, tmp_path: Path, cache: ShardCache) -> None:
    """Threads fetch what was announced, pass over what fails, and end."""
    shards = small_shards(tmp_path, 6)
    urls = [server.put(f"{name}.tar", data) for name, data in shards.items()]
    source = URLSource([server.url("none.tar"), *urls])
    before = threading.active_count()

    with cache.prefetch(source, source.list_shards()[:4], threads=2) as prefetch:
        prefetch.add(source.list_shards()[4:])
        until(lambda: len([n for n in files(cache) if n.endswith(".tar")]) == 6)
        n = len(server.seen)
        found = [cache.fetch(source, url).read_bytes() for url in urls]

    assert found == list(shards.values())
    assert len(server.seen) == n
    until(lambda: threading.active_count() - len(server_threads()) <= before)
    with pytest.raises(ValueError, match="at least one"):
        cache.prefetch(source, [], threads=0)


def server_threads() -> list[threading.Thread]:
    """The threads in which the server answers."""
    return [t for t in threading.enumerate() if "process_request_thread" in t.name]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_fetching_ahead_ends_at_once(
    server: FileServer, shard: bytes, cache: ShardCache, name: str
) -> None:
    """Closing waits neither for a server that hangs nor for the rest of the shards."""
    url = server.put(name, shard if name == "a.tar" else gzip.compress(shard, 1))
    server.next(Fault(), Fault(), *[Fault(delay=3600)] * 4)
    source = URLSource([url, *(server.put(f"{i}.tar", shard) for i in range(20))])
    prefetch = cache.prefetch(source, source.list_shards(), threads=1)
    until(lambda: len(server.seen) >= 3)

    began = time.monotonic()
    prefetch.close()
    took = time.monotonic() - began
    server.faults.clear()

    assert took < 2
    assert not [t for t in threading.enumerate() if t.name.startswith("atdata-")]
    assert not has_part(cache)
    assert cache.fetch(source, url).read_bytes() == shard


UNCLOSED = """
import sys, time
from pathlib import Path
from atdata.sources.cache import ShardCache
from atdata.sources.url import URLSource
folder, *urls = sys.argv[1:]
source = URLSource(urls)
prefetch = ShardCache(Path(folder)).prefetch(source, urls)
while not any(name.suffix == ".part" for name in Path(folder).glob("*")):
    time.sleep(0.01)
"""


def test_a_process_ends_although_it_fetches_ahead(
    server: FileServer, shard: bytes, cache: ShardCache
) -> None:
    """Who forgets to close is not kept from exiting, and leaves nothing behind."""
    urls = [server.put(f"{i}.tar", shard) for i in range(3)]
    server.always = Fault(delay=0.2)

    with running(UNCLOSED, cache.folder, *urls) as process:
        _, errors = process.communicate(timeout=15)

    assert errors == ""
    assert process.returncode == 0
    assert not has_part(cache)


def test_latency_and_cuts_do_not_add_up(
    server: FileServer, shard: bytes, cache: ShardCache
) -> None:
    """Several ranges are on their way at once."""
    url = server.put("a.tar", shard)
    download_range = 1 << 19
    server.always = Fault(delay=0.15)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "_RANGE", download_range)
        began = time.monotonic()
        path = cache.fetch(*source_of(url))
        took = time.monotonic() - began

    n = len(server.seen)
    assert path.read_bytes() == shard
    assert n == 2 + -(-len(shard) // download_range)
    assert took < 0.15 * n * 0.7
