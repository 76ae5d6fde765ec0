"""What cannot be read: raised, skipped or told, and what comes before and after it."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.dataset.places import Memory, foreign_tar

import atdata
from atdata import AtdataError, Dataset, DictSample, SchemaError, ShardError
from atdata.model.shard import SkippedSample
from atdata.pipeline.policy import Ledger


@atdata.packable
class Point:
    """A small sample with a rule of its own."""

    n: int
    x: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.n == 666:
            raise RuntimeError("no such number")


@atdata.packable
class Plain:
    """The same without a rule."""

    n: int
    x: NDArray[np.uint8]


@atdata.packable
class Doubling:
    """A sample whose hook changes it."""

    n: int

    def __post_init__(self) -> None:
        self.n *= 2


def plain(n: int, size: int = 10) -> Plain:
    return Plain(n, np.full(size, n % 250, np.uint8))


def dataset(kind: str, folder: Path, samples: list[Any]) -> Dataset[Point]:
    """These samples as points: with an index, without, or as a stream."""
    if kind == "indexed":
        ds = atdata.write_samples(samples, folder / "p.tar")
        return Dataset[Point](ds.list_shards())
    data = foreign_tar(samples)
    if kind == "foreign":
        (folder / "f.tar").write_bytes(data)
        return Dataset[Point](folder / "f.tar")
    return Dataset(Memory({"p": data}), sample_type=Point)


KINDS = ["indexed", "foreign", "memory"]

READERS: list[Callable[[Dataset[Any]], Iterator[int]]] = [
    lambda ds: (s.n for s in ds),
    lambda ds: (s.n for _, s in ds.items()),
    lambda ds: (n for batch in ds.ordered(batch_size=3) for n in batch.n.tolist()),
    lambda ds: (s.n for s in ds.map(lambda s: s)),
    lambda ds: (s.n for s in ds.shuffled(seed=1)),
    lambda ds: (n for batch in ds.shuffled(seed=1, batch_size=3) for n in batch.n.tolist()),
]


def until_error(read: Iterator[int]) -> tuple[list[int], AtdataError | None]:
    """What comes, and the error that ends it."""
    found: list[int] = []
    try:
        for n in read:
            found.append(n)
    except AtdataError as error:
        return found, error
    return found, None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", ["hook", "type", "payload"])
@pytest.mark.parametrize("reader", range(len(READERS)))
def test_a_sample_that_cannot_be_made(tmp_path: Path, kind: str, bad: str, reader: int) -> None:
    """It is an error with shard, key, offset; under `skip` it is left out and listed."""
    samples: list[Any] = [plain(n) for n in range(200)]
    if bad == "hook":
        samples[100] = plain(666)
    elif bad == "type":
        samples = [DictSample(n=s.n, x=s.x) for s in samples]
        samples[100] = DictSample(n="no int", x=samples[0].x)
    else:
        samples = [DictSample(n=s.n, x=s.x) for s in samples]
        samples[100] = DictSample(n=100, x=b"\xffno array")
    ds = dataset(kind, tmp_path, samples)
    good = [n for n in range(200) if n != 100]

    found, error = until_error(READERS[reader](ds))
    skipped = list(READERS[reader](ds.with_options(on_error="skip")))

    assert isinstance(error, SchemaError)
    assert (error.key, error.shard_id) == ("000000100", ds.list_shards()[0])
    assert error.offset is not None
    assert error.offset > 100 * 512
    for fact in ("000000100", ds.list_shards()[0], str(error.offset)):
        assert fact in str(error)
    assert sorted(skipped) == good
    if reader < 4:
        assert skipped == good
        assert found == list(range(100))[: len(found)]
    if reader in (0, 1, 3):
        assert len(found) == 100  # what comes before it is delivered


@pytest.mark.parametrize("kind", KINDS)
def test_the_ledger_lists_what_was_left_out(tmp_path: Path, kind: str) -> None:
    """Anew for each pass, with shard, key, offset and reason."""
    ds = dataset(kind, tmp_path, [plain(666 if n % 10 == 3 else n) for n in range(50)])
    stream = ds.with_options(on_error="skip").ordered()

    assert stream.skipped == []
    for _ in range(2):
        assert len(list(stream)) == 45
        assert stream.n_skipped == 5
        assert [entry.key for entry in stream.skipped] == [f"{n:09d}" for n in range(3, 50, 10)]
        for entry in stream.skipped:
            assert isinstance(entry, SkippedSample)
            assert entry.shard_id == ds.list_shards()[0]
            assert entry.offset is not None
            assert "no such number" in entry.reason


def test_a_function_is_asked_about_each_error(tmp_path: Path) -> None:
    """It skips by returning, and stops by raising."""
    ds = dataset("indexed", tmp_path, [plain(666 if n in (3, 7) else n) for n in range(10)])
    told: list[AtdataError] = []

    def twice_is_too_much(error: AtdataError) -> None:
        told.append(error)
        if len(told) == 2:
            raise KeyboardInterrupt

    lenient = ds.with_options(on_error=told.append).ordered()
    assert [s.n for s in lenient] == [0, 1, 2, 4, 5, 6, 8, 9]
    assert lenient.n_skipped == len(told) == 2
    told.clear()
    with pytest.raises(KeyboardInterrupt):
        list(ds.with_options(on_error=twice_is_too_much))


def test_counts_and_positions_leave_out_what_is_skipped(tmp_path: Path) -> None:
    """`len`, `ds[i]`, windows and streams agree."""
    for kind in KINDS:
        folder = tmp_path / kind
        folder.mkdir()
        ds = dataset(kind, folder, [plain(666 if n % 4 == 1 else n) for n in range(200)])
        skipping = ds.with_options(on_error="skip")
        good = [n for n in range(200) if n % 4 != 1]

        assert len(skipping) == len(skipping.ordered()) == len(good)
        assert [skipping[i].n for i in range(5)] == good[:5]
        assert [s.n for s in skipping[:]] == good
        assert [s.n for s in skipping.skip(3).take(40)] == good[3:43]
        assert [s.n for s in skipping.take(40)[:]] == good[:40]
        assert [s.n for s in ds.take(40).with_options(on_error="skip")] == good[:40]
        assert len(ds.take(40).with_options(on_error="skip")) == 40
        assert sorted(s.n for s in skipping.take(40).shuffled()) == good[:40]


def test_what_is_skipped_while_rows_are_looked_for_is_listed_too(tmp_path: Path) -> None:
    """A shuffled window behind a filter reads all first."""
    ds = dataset("indexed", tmp_path, [plain(666 if n % 10 == 1 else n) for n in range(100)])

    stream = ds.with_options(on_error="skip").filter(lambda s: True).take(1000).shuffled(seed=1)

    assert len(list(stream)) == 90
    assert stream.n_skipped == 10


def test_a_missing_shard_can_be_skipped(tmp_path: Path) -> None:
    """The others are read, and it is listed once a pass."""
    ds = atdata.write_samples([plain(n) for n in range(9)], tmp_path / "p.tar", maxcount=3)
    missing = ds.list_shards()[1]
    Path(missing).unlink()
    skipping = Dataset[Plain](ds.list_shards(), on_error="skip")

    for stream in (skipping.ordered(), skipping.shuffled(), skipping.ordered(batch_size=2)):
        assert len(list(stream)) > 0
        assert [(entry.shard_id, entry.key) for entry in stream.skipped] == [(missing, None)]
        assert len(list(stream)) == len(stream)
        assert stream.n_skipped == 1
    assert sorted(s.n for s in skipping) == [0, 1, 2, 6, 7, 8]
    assert skipping.get("000000007").n == skipping[4].n == 7
    found, error = until_error(s.n for s in Dataset[Plain](ds.list_shards()))
    assert found == [0, 1, 2]
    assert isinstance(error, FileNotFoundError)


@pytest.mark.parametrize("stream", [False, True])
def test_what_comes_before_damage_is_delivered(tmp_path: Path, stream: bool) -> None:
    """A shard that is cut gives its whole samples, then the error; in a stream too."""
    data = foreign_tar([plain(n) for n in range(50)])
    cut = data[: len(data) // 2]
    path = tmp_path / "cut.tar"
    path.write_bytes(cut)
    ds: Dataset[Plain] = Dataset(Memory({"m": cut}) if stream else path, sample_type=Plain)

    for reader in READERS[:2]:
        found, error = until_error(reader(ds))
        assert found == list(range(len(found)))
        assert 20 <= len(found) < 30
        assert isinstance(error, ShardError)
    for kept in READERS:
        assert sorted(kept(ds.with_options(on_error="skip"))) == found


def flipped(path: Path, row: int) -> None:
    """Damage the payload of a sample in place of the file."""
    data = bytearray(path.read_bytes())
    at = data.index(f"{row:09d}.msgpack".encode()) + 512 + 60
    data[at] ^= 0xFF
    path.unlink()
    path.write_bytes(bytes(data))


def test_a_damaged_block_is_left_out_and_no_other(tmp_path: Path) -> None:
    """Ordered, shuffled, batched and by position; nothing of it is delivered."""
    size = 100_000
    ds = atdata.write_samples([plain(n, size) for n in range(60)], tmp_path / "p.tar")
    flipped(tmp_path / "p.tar", 31)
    skipping = Dataset[Plain](tmp_path / "p.tar", on_error="skip")
    strict = Dataset[Plain](tmp_path / "p.tar")

    survivors = [s.n for s in skipping]

    assert 31 not in survivors
    assert 40 <= len(survivors) < 60
    for read in READERS:
        assert sorted(read(skipping)) == survivors
    stream = skipping.shuffled(seed=1)
    assert len(list(stream)) == len(survivors)
    assert stream.n_skipped == 1
    assert [s.n for s in skipping[:]] == survivors
    assert [skipping[i].n for i in range(len(survivors))] == survivors
    assert strict[0] == plain(0, size)
    assert strict.select(range(10)) == [plain(n, size) for n in range(10)]
    assert [s.n for s in strict.select([*range(20), *range(45, 60)])] == [
        *range(20),
        *range(45, 60),
    ]
    with pytest.raises(ShardError, match="damaged"):
        strict[31]
    with pytest.raises(ShardError, match="damaged"):
        strict.select(range(60))
    with pytest.raises(ShardError, match="damaged"):
        list(strict)
    assert strict.with_options(verify="off")[31].n == 31
    assert len(list(strict.with_options(verify="off"))) == 60
    assert ds.list_shards()


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    """Rather than samples of both."""
    atdata.write_samples([plain(n, 50_000) for n in range(3000)], tmp_path / "p.tar")
    ds = Dataset[Plain](tmp_path / "p.tar")
    for stream in (ds.ordered(), ds.shuffled(), ds.ordered(batch_size=8)):
        reading = iter(stream)
        next(reading)
        with (tmp_path / "p.tar").open("r+b") as file:
            file.seek(100_000_000)
            file.write(b"something else")
        with pytest.raises(ShardError, match="changed"):
            list(reading)
        atdata.write_samples([plain(n, 50_000) for n in range(3000)], tmp_path / "p.tar")


def test_the_ledger_lists_so_many_and_counts_all() -> None:
    """Its memory does not grow with what goes wrong."""
    ledger = Ledger("skip")

    for n in range(10_100):
        ledger.meet(ShardError("a.tar", "bad", offset=n))

    assert ledger.n_skipped == 10_100
    assert len(ledger.skipped) == 10_000
    assert ledger.skipped[9_999] == SkippedSample("a.tar", None, 9_999, "bad")
    assert pickle.loads(pickle.dumps(ledger.skipped[0])) == ledger.skipped[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_that_changes_values_acts_on_batches_too(tmp_path: Path, kind: str) -> None:
    """Once for each sample: batched is unbatched."""
    given = [DictSample(n=n) for n in range(100)]
    (tmp_path / "f.tar").write_bytes(foreign_tar(given))
    ds: Dataset[Doubling] = {
        "indexed": lambda: Dataset[Doubling](
            atdata.write_samples(given, tmp_path / "p.tar").list_shards()
        ),
        "foreign": lambda: Dataset[Doubling](tmp_path / "f.tar"),
        "memory": lambda: Dataset(Memory({"m": foreign_tar(given)}), sample_type=Doubling),
    }[kind]()
    wanted = [2 * n for n in range(100)]

    assert [s.n for s in ds] == wanted
    assert [n for b in ds.ordered(batch_size=7) for n in b.n.tolist()] == wanted
    assert [s.n for b in ds.ordered(batch_size=7) for s in b] == wanted
    assert sorted(n for b in ds.shuffled(batch_size=7) for n in b.n.tolist()) == wanted
    assert [ds[i].n for i in range(100)] == [s.n for s in ds[:]] == wanted


def test_a_constructor_of_ones_own_acts_on_batches_too(tmp_path: Path) -> None:
    """Also one that dataclasses did not write, and a hook of a generic class."""

    @atdata.packable
    class Own:
        n: int

        def __init__(self, n: int) -> None:
            self.n = n + 1

    @atdata.packable
    class Generic[T]:
        n: T

        def __post_init__(self) -> None:
            self.n *= 2  # type: ignore[operator]

    ds = atdata.write_samples([DictSample(n=n) for n in range(9)], tmp_path / "p.tar")
    for kind, change in ((Own, lambda n: n + 1), (Generic[int], lambda n: 2 * n)):
        typed: Dataset[Any] = Dataset(ds.list_shards(), sample_type=kind)
        wanted = [change(n) for n in range(9)]
        assert [s.n for s in typed] == wanted
        assert [n for b in typed.ordered(batch_size=4) for n in b.n.tolist()] == wanted
        assert sorted(n for b in typed.shuffled(batch_size=4) for n in b.n.tolist()) == wanted


@pytest.mark.parametrize(
    "damage", [b"", b"\x81", b"\x81\xa1n\x01\x00", b"\x90", b"\x01", b"\xc1" * 40]
)
def test_payloads_that_are_no_single_map_are_refused(damage: bytes, tmp_path: Path) -> None:
    """Cut, with bytes behind them, or of another kind."""
    good = msgspec.msgpack.encode({"n": 1})

    class Raw:
        def __init__(self, data: bytes) -> None:
            self.data = data

    payloads = [good] * 99 + [damage]
    data = bytearray(foreign_tar([DictSample(n=1, pad=b"\0" * 100)] * 100))
    at = [i for i in range(len(data)) if data[i : i + 2] == b"\x82\xa1"]
    for start, payload in zip(at, payloads, strict=True):
        data[start : start + len(payload)] = payload
    path = tmp_path / "p.tar"
    path.write_bytes(bytes(data))

    found, error = until_error(s.n for s in Dataset[DictSample](path))

    assert isinstance(error, SchemaError)
    assert found == []
