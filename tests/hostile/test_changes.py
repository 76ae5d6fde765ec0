"""Files that change while they are read, and memory while large ones are read."""

import gzip
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.shard.archives import mapped, read, write_shard

import atdata
from atdata import Dataset, ShardError
from atdata.shard.headers import running_headers

ROOT = Path(__file__).parents[2]


@atdata.packable
class Blob:
    """A sample with bytes."""

    name: str
    data: bytes


@atdata.packable
class Image:
    """A sample with an array."""

    name: str
    x: NDArray[np.uint8]


def blobs(n: int, size: int, fill: int = 0) -> list[Blob]:
    """Samples of one size."""
    return [Blob(f"s{i}", bytes([(i + fill) % 256]) * size) for i in range(n)]


@pytest.mark.parametrize("digest", [True, False])
def test_a_file_cut_while_it_is_read_is_an_error(tmp_path: Path, digest: bool) -> None:
    """A shard that shrinks between two chunks is noticed before the lost part is touched."""
    path = tmp_path / "a.tar"
    atdata.write_samples(blobs(200, 1_000_000), path, digest=digest)
    reading = iter(Dataset[Blob](path))
    first = next(reading)

    os.truncate(path, 100_000_000)

    with pytest.raises(ShardError, match="changed"):
        list(reading)
    assert first == blobs(1, 1_000_000)[0]


def test_a_file_written_over_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    """A shard that is changed in place between two chunks is noticed by its time."""
    path = tmp_path / "a.tar"
    atdata.write_samples(blobs(200, 1_000_000), path)
    reading = iter(Dataset[Blob](path))
    next(reading)

    with path.open("r+b") as file:
        file.seek(150_000_000)
        file.write(b"other")
    os.utime(path, ns=(1, 1))

    with pytest.raises(ShardError, match="changed"):
        list(reading)


def test_skipping_ends_where_a_file_was_cut(tmp_path: Path) -> None:
    """With `on_error="skip"` a cut shard ends early, and is listed."""
    path = tmp_path / "a.tar"
    atdata.write_samples(blobs(200, 1_000_000), path)
    stream = Dataset[Blob](path, on_error="skip").ordered()
    reading = iter(stream)
    found = [next(reading)]

    os.truncate(path, 100_000_000)
    found += reading

    assert found == blobs(200, 1_000_000)[: len(found)]
    assert stream.n_skipped >= 1
    assert stream.skipped[0].shard_id == str(path)


@pytest.mark.parametrize("how", ["replaced", "removed"])
def test_a_reader_holds_the_file_it_opened(tmp_path: Path, how: str) -> None:
    """Renaming a new shard over an old one, or removing it, does not disturb who reads it."""
    path = tmp_path / "a.tar"
    old, new = blobs(200, 500_000), blobs(100, 500_000, fill=7)
    atdata.write_samples(old, path)
    atdata.write_samples(new, tmp_path / "new.tar")
    reading = iter(Dataset[Blob](path))
    found = [next(reading)]

    if how == "replaced":
        (tmp_path / "new.tar").rename(path)
    else:
        path.unlink()
    found += reading

    assert found == old
    if how == "replaced":
        assert list(Dataset[Blob](path)) == new
        assert Dataset[Blob](path)[3] == new[3]
    else:
        with pytest.raises(FileNotFoundError):
            list(Dataset[Blob](path))


def test_arrays_stay_what_they_were_when_a_shard_is_replaced(tmp_path: Path) -> None:
    """Samples in hand do not change when their shard is replaced or removed."""
    path = tmp_path / "a.tar"
    images = [Image(f"i{i}", np.full((300, 300), i, np.uint8)) for i in range(30)]
    atdata.write_samples(images, path)
    for copy in (True, False):
        held = list(Dataset[Image](path, copy=copy))

        atdata.write_samples([Image("other", np.zeros((9, 9), np.uint8))], path)

        assert held == images
        path.unlink()
        assert held == images
        atdata.write_samples(images, path)


def test_arrays_may_be_changed_without_changing_the_shard(tmp_path: Path) -> None:
    """Samples are the reader's own: writing to their arrays alters no file and no other sample."""
    path = tmp_path / "a.tar"
    images = [Image(f"i{i}", np.full((300, 300), i, np.uint8)) for i in range(30)]
    atdata.write_samples(images, path)
    before = path.read_bytes()

    for sample in Dataset[Image](path):
        sample.x[:] = 255

    assert path.read_bytes() == before
    assert list(Dataset[Image](path)) == images


def test_a_shard_in_many_threads_is_one_shard(tmp_path: Path) -> None:
    """Threads that read one shard, by position and in order, all find what was written."""
    path = tmp_path / "a.tar"
    samples = blobs(300, 20_000)
    atdata.write_samples(samples, path)
    wrong: list[object] = []

    def work(seed: int) -> None:
        try:
            ds = Dataset[Blob](path)
            order = np.random.default_rng(seed).permutation(len(samples))[:50]
            wrong.extend(i for i in order.tolist() if ds[i] != samples[i])
            wrong.extend(a for a, b in zip(ds, samples, strict=True) if a != b)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


@pytest.mark.parametrize("kind", ["folder", "missing", "pipe", "unreadable", "loop", "device"])
def test_what_is_no_file_is_an_error(tmp_path: Path, kind: str) -> None:
    """Folders, pipes, devices and files that may not be read are errors at once."""
    path = tmp_path / "a.tar"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "unreadable":
        if os.geteuid() == 0:
            pytest.skip("root may read all files")
        path.write_bytes(b"")
        path.chmod(0)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")

    with pytest.raises(atdata.AtdataError) as caught:
        list(Dataset[Blob](path))

    assert str(path) in str(caught.value)


def test_many_shards_need_few_descriptors(tmp_path: Path) -> None:
    """Hundreds of shards are read with no more open files than are kept for reading again."""
    for i in range(300):
        write_shard(tmp_path / str(i), [b"\x81\xa1a\x01"])
    paths = [tmp_path / str(i) / "s-000.tar" for i in range(300)]

    for path in paths:
        assert len(read(mapped(path).chunks())) == 1

    assert len(os.listdir("/proc/self/fd")) < 300 + 60


_PEAK = """
import sys, threading, time
from pathlib import Path
import atdata
from tests.hostile.test_changes import Blob

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) << 10

class Watch(threading.Thread):
    peak, stop = 0, False
    def run(self):
        while not self.stop:
            self.peak = max(self.peak, anonymous())
            time.sleep(0.001)

ds = atdata.Dataset[Blob](sys.argv[1], verify=sys.argv[2])
next(iter(ds.take(0)), None)
before, watch = anonymous(), Watch(daemon=True)
watch.start()
n = 0
if sys.argv[3] == "samples":
    for sample in ds:
        n += len(sample.data)
else:
    for batch in ds.ordered(batch_size=16):
        n += sum(map(len, batch.data))
watch.stop = True
watch.join()
print(n, watch.peak - before)
"""


def peak(path: Path, verify: str, how: str) -> tuple[int, int]:
    """Payload bytes read, and the most memory that this took, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path), verify, how],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    n, n_bytes = map(int, done.stdout.split())
    return n, n_bytes


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of 300 MB."""
    path = tmp_path_factory.mktemp("large") / "large.tar"
    atdata.write_samples((sample for sample in blobs(300, 1_000_000)), path, digest=False)
    return path


@pytest.mark.parametrize("how", ["samples", "batches"])
def test_a_large_shard_is_read_in_little_memory(large: Path, how: str) -> None:
    """Reading 300 MB in order takes less than 150 MB beyond what the program has."""
    n, n_bytes = peak(large, "damage", how)

    assert n == 300_000_000
    assert n_bytes < 150 << 20


def test_a_large_stream_is_read_in_little_memory(large: Path, tmp_path: Path) -> None:
    """The same shard, compressed, is no larger in memory."""
    path = tmp_path / "large.tar.gz"
    path.write_bytes(gzip.compress(large.read_bytes(), 1))

    n, n_bytes = peak(path, "damage", "samples")

    assert n == 300_000_000
    assert n_bytes < 150 << 20


def test_a_large_foreign_shard_is_scanned_in_little_memory(tmp_path: Path) -> None:
    """A hundred thousand small members without an index are found in little memory."""
    payload = Blob("a", b"x").packed
    path = tmp_path / "many.tar"
    block = payload.ljust(512, b"\0")
    n = 100_000
    headers = running_headers(0, np.full(n, len(payload), np.int64))
    rows = np.empty((n, 1024), np.uint8)
    rows[:, :512] = headers
    rows[:, 512:] = np.frombuffer(block, np.uint8)
    path.write_bytes(rows.tobytes() + bytes(1024))

    count, n_bytes = peak(path, "damage", "samples")

    assert count == n
    assert n_bytes < 100 << 20


def test_too_few_file_descriptors_are_no_damage(tmp_path: Path) -> None:
    """Many shards are read under a low limit, also where more are mixed than can be open."""
    program = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
import atdata
ds = atdata.Dataset(f"{sys.argv[1]}/f-{{000000..000149}}.tar", on_error="skip")
assert sum(1 for _ in ds) == 300
assert sum(1 for _ in ds.shuffled(20, seed=1)) == 300
assert sum(1 for _ in ds.shuffled(150, seed=1)) == 300
assert sum(1 for _ in ds) == 300
"""
    samples = [atdata.DictSample(n=n) for n in range(300)]
    atdata.write_samples(samples, tmp_path / "f.tar", maxcount=2)

    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True)

    assert done.returncode == 0, done.stderr.decode()
