"""How much is read, and when."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.dataset.places import KINDS, Memory, foreign_tar, put
from tests.http_server import Fault, FileServer

import atdata
from atdata import Dataset, DictSample


@atdata.packable
class Point:
    """A small sample."""

    n: int


@atdata.packable
class Large:
    """A large one."""

    n: int
    x: NDArray[np.uint8]


made: list[int] = []


@atdata.packable
class Counted:
    """A sample that counts how often it was made."""

    n: int

    def __post_init__(self) -> None:
        made.append(self.n)


def points(n: int) -> list[Point]:
    return [Point(i) for i in range(n)]


@pytest.mark.parametrize("kind", ["indexed", "foreign"])
def test_list_makes_each_sample_once(tmp_path: Path, kind: str) -> None:
    """Although `list` asks for the length first; and the length makes none."""
    put(tmp_path, points(50), kind, maxcount=20)
    shards = sorted(tmp_path.glob("*.tar"))
    ds = Dataset[Counted](shards)
    made.clear()

    assert len(ds) == 50
    assert ds
    assert made == []
    list(ds)
    assert made == list(range(50))
    made.clear()
    list(ds.ordered(batch_size=20))
    list(ds.shuffled())
    assert len(made) <= 100


def test_single_samples_are_made_alone(tmp_path: Path) -> None:
    """`ds[i]`, `get` and `head` make what is asked for and little more."""
    ds = Dataset[Counted](put(tmp_path, points(500), "indexed").list_shards())

    for read, n in (
        (lambda: ds[7], 1), (lambda: ds.get("000000008"), 1), (lambda: ds.select([3, 400, 3]), 3),
        (lambda: ds.head(3), 3), (lambda: ds.take(5).map(lambda s: s).head(2), 2),
        (lambda: ds.select(range(100, 200)), 100),
    ):  # fmt: skip
        made.clear()
        read()
        assert len(made) == n


def test_stages_begin_with_a_few_samples(tmp_path: Path) -> None:
    """The first result does not wait for thousands of them, ordered or shuffled."""
    ds = put(tmp_path, points(5000), "indexed")
    seen: list[int] = []

    def slow(p: Point) -> Point:
        seen.append(p.n)
        return p

    for stream in (ds.map(slow).ordered(), ds.map(slow).shuffled(seed=1), ds.map(slow).items()):
        seen.clear()
        next(iter(stream))
        assert len(seen) <= 64


def test_stages_see_samples_in_the_order_they_are_delivered(tmp_path: Path) -> None:
    """Shuffled too, with shards of different stages mixed in."""
    first = put(tmp_path, points(300), "indexed", maxcount=100)
    seen: list[Any] = []

    def noted(p: Any) -> Any:
        seen.append(p)
        return p

    both = (
        first.map(lambda p: p).concat(first.filter(lambda p: p.n % 2).map(lambda p: p)).map(noted)
    )

    delivered = list(iter(both.shuffled(seed=3)))

    assert len(delivered) == 450
    assert all(a is b for a, b in zip(seen, delivered, strict=True))


def test_a_remote_shard_with_an_index_is_read_in_parts(server: FileServer, tmp_path: Path) -> None:
    """The length costs no samples, one sample costs one block, and the index is read once."""
    given = [Large(n, np.full(100_000, n, np.uint8)) for n in range(60)]
    written = atdata.write_samples(given, tmp_path / "l.tar", content_metadata={"a": 1})
    url = server.put("l.tar", Path(written.list_shards()[0]).read_bytes())
    size = (tmp_path / "l.tar").stat().st_size

    def asked() -> int:
        """Bytes asked for by ranges; a request without one is for everything."""
        n = 0
        for seen in server.seen:
            first, _, last = seen.headers.get("range", f"bytes=0-{size}")[6:].partition("-")
            n += int(last) - int(first) + 1 if first and last else int(last or size)
        server.seen.clear()
        return n

    ds = Dataset[Large](url)
    assert len(ds) == 60
    assert asked() < 600_000
    assert ds[30] == given[30]
    first = asked()
    assert ds[31] == given[31]
    again = asked()
    assert first < 2_000_000
    assert again < 1_200_000
    assert list(ds) == given
    assert asked() < 1.2 * size
    assert Dataset[Large](url).content_metadata == {"a": 1}
    assert asked() < 600_000


def test_a_server_without_ranges_is_read_as_a_stream(server: FileServer, tmp_path: Path) -> None:
    """Everything works, each reading from the start."""
    server.always = Fault(ignore_range=True)
    url = server.put(
        "p.tar", Path(put(tmp_path, points(9), "indexed").list_shards()[0]).read_bytes()
    )
    ds = Dataset[Point](url)

    assert list(ds) == points(9)
    assert ds[4] == ds.get("000000004") == Point(4)
    assert ds.select([8, 0]) == [Point(8), Point(0)]
    assert len(ds) == 9


@pytest.mark.parametrize("kind", ["memory", "stream"])
def test_streams_are_opened_once_a_pass(tmp_path: Path, kind: str) -> None:
    """In order they are read as they come; what needs their rows by number fetches them once."""
    ds = put(tmp_path, points(100), kind, maxcount=10)
    source = ds.source
    assert isinstance(source, Memory)
    shards = ds.list_shards()

    for read in (
        lambda: list(iter(ds)), lambda: list(iter(ds.ordered(batch_size=7))),
        lambda: list(ds.map(lambda p: p).items()), lambda: ds.process_shards(len),
        lambda: len(ds.filter(bool)), lambda: len(ds),
    ):  # fmt: skip
        source.opened.clear()
        read()
        assert source.opened == shards

    source.opened.clear()
    for read in (
        lambda: list(ds.shuffled()), lambda: ds.select(range(100)), lambda: ds[:],
        lambda: list(ds.shuffled(batch_size=7)), lambda: len(ds.take(40)),
    ):  # fmt: skip
        read()
    assert source.opened == []


def test_streams_of_many_shards_are_mixed(tmp_path: Path) -> None:
    """The samples held back come from all shards of a window, as far as they fit."""
    ds = put(tmp_path, points(200), "memory", maxcount=10)

    order = [p.n for p in ds.shuffled(buffer_samples=100, seed=1)]

    assert sorted(order) == list(range(200))
    assert len({n // 10 for n in order[:20]}) > 5


def test_shuffling_can_be_left_to_one_level(tmp_path: Path) -> None:
    """No shards in a window keeps the shards in order, no buffer the samples in each shard."""
    for kind in KINDS:
        folder = tmp_path / kind
        folder.mkdir()
        ds = put(folder, points(60), kind, maxcount=20)

        for off in (0, 1):
            inside = [p.n for p in ds.shuffled(buffer_shards=off, seed=1)]
            shards = [p.n for p in ds.shuffled(buffer_samples=off, seed=5)]
            neither = [p.n for p in ds.shuffled(off, off)]

            assert [sorted(inside[i : i + 20]) for i in (0, 20, 40)] == [
                list(range(i, i + 20)) for i in (0, 20, 40)
            ]
            assert inside != list(range(60))
            assert sorted(shards[i] for i in (0, 20, 40)) == [0, 20, 40]
            assert all(b == a + 1 for a, b in zip(shards, shards[1:], strict=False) if b % 20)
            assert neither == list(range(60))


def test_shuffling_mixes_well(tmp_path: Path) -> None:
    """Where a sample comes says nothing about where it was."""
    ds = put(tmp_path, points(5000), "indexed", maxcount=700)

    order = np.array([p.n for p in ds.shuffled(seed=1)])

    assert abs(np.corrcoef(order, np.arange(5000))[0, 1]) < 0.05
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.05


def test_each_repetition_has_its_own_order(tmp_path: Path) -> None:
    """And each is whole before the next begins."""
    ds = put(tmp_path, points(100), "indexed", maxcount=30)

    order = [p.n for p in ds.repeat(3).shuffled(seed=1)]

    thirds = [tuple(order[i : i + 100]) for i in (0, 100, 200)]
    assert len(set(thirds)) == 3
    assert all(sorted(third) == list(range(100)) for third in thirds)


def test_empty_shards_are_fine(tmp_path: Path) -> None:
    """Anywhere among others, or alone."""
    shards = {"a": foreign_tar([]), "b": foreign_tar([DictSample(n=1)]), "c": foreign_tar([])}
    for name, data in shards.items():
        (tmp_path / f"{name}.tar").write_bytes(data)
    mixed = Dataset([tmp_path / f"{name}.tar" for name in shards])
    empty = Dataset(tmp_path / "a.tar")

    for ds in (mixed, Dataset(Memory(shards))):
        assert [s.n for s in ds] == [s.n for s in ds.shuffled()] == [1]
        assert (len(ds), ds[0].n, ds.get("000000000").n) == (1, 1, 1)
        assert [len(b) for b in ds.ordered(batch_size=2)] == [1]
        assert list(ds.skip(1)) == []
    assert list(empty) == list(empty.shuffled()) == list(empty.ordered(batch_size=3)) == []
    assert len(empty) == 0
    assert empty.to_dict() == {}
