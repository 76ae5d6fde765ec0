"""Work on whole shards."""

from pathlib import Path
from typing import Any

import pytest
from tests.dataset.places import KINDS, Memory, foreign_tar, put

import atdata
from atdata import Dataset, DictSample, PartialFailureError


@atdata.packable
class Point:
    """A small sample."""

    n: int


@atdata.packable
class Shifted:
    """What it can be viewed as."""

    n: int


@atdata.lens
def shifted(s: Point) -> Shifted:
    """A lens that leaves a trace."""
    return Shifted(s.n + 100)


def points(n: int) -> list[Point]:
    return [Point(i) for i in range(n)]


def numbers(samples: list[Any]) -> list[int]:
    return [s.n for s in samples]


@pytest.fixture
def ds(tmp_path: Path) -> Dataset[Point]:
    """Ten points in four shards."""
    return atdata.write_samples(points(10), tmp_path / "p.tar", maxcount=3)


@pytest.mark.parametrize("kind", KINDS)
def test_each_shard_is_given_whole_and_in_order(tmp_path: Path, kind: str) -> None:
    """From any source, results by shard."""
    ds = put(tmp_path, points(10), kind, maxcount=3)

    found = ds.process_shards(numbers)

    assert list(found) == ds.list_shards()
    assert list(found.values()) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_what_is_done_to_samples_is_done_here_too(ds: Dataset[Point]) -> None:
    """Views, filters, maps, windows and repetitions."""
    seen = ds.as_type(Shifted).filter(lambda s: s.n % 2).map(lambda s: Point(-s.n))

    assert list(seen.process_shards(numbers).values()) == [[-101], [-103, -105], [-107], [-109]]
    assert list(seen.take(2).process_shards(numbers).values()) == [[-101], [-103], [], []]
    assert list(ds.skip(4).process_shards(numbers).values()) == [[], [4, 5], [6, 7, 8], [9]]
    assert next(iter(ds.concat(ds.take(1)).process_shards(numbers).values())) == [0, 1, 2, 0]
    assert list(ds.repeat(2).process_shards(len).values()) == [6, 6, 6, 2]


def test_only_the_shards_asked_for_are_processed(ds: Dataset[Point]) -> None:
    """None of them for an empty list; an unknown one is a `KeyError`."""
    shards = ds.list_shards()

    assert ds.process_shards(numbers, shards=[]) == {}
    assert ds.process_shards(numbers, shards=shards[2:0:-1]) == {
        shards[2]: [6, 7, 8],
        shards[1]: [3, 4, 5],
    }
    with pytest.raises(KeyError, match="Shard not found: none"):
        ds.process_shards(numbers, shards=["none"])


def test_failures_are_collected(ds: Dataset[Point]) -> None:
    """The other shards are done, and the error knows all."""
    told: list[tuple[str, Exception]] = []

    def failing(samples: list[Point]) -> int:
        if samples[0].n in (3, 9):
            raise RuntimeError(f"no {samples[0].n}")
        return len(samples)

    with pytest.raises(PartialFailureError, match="2/4 shards failed") as found:
        ds.process_shards(failing, on_shard_error=lambda shard, error: told.append((shard, error)))

    first, second, third, fourth = ds.list_shards()
    error = found.value
    assert error.failed_shards == [second, fourth]
    assert error.succeeded_shards == [first, third]
    assert error.results == {first: 3, third: 3}
    assert [str(e) for e in error.errors.values()] == ["no 3", "no 9"]
    assert [shard for shard, _ in told] == [second, fourth]
    assert ds.process_shards(len, shards=error.failed_shards) == {second: 3, fourth: 1}


def test_shards_that_cannot_be_read_are_failures_too(tmp_path: Path) -> None:
    """Missing or damaged; with `on_error="skip"` what is left of them is given."""
    good = foreign_tar(points(3))
    ds = Dataset(Memory({"a": good, "b": good[:3000], "c": good}), sample_type=Point)

    with pytest.raises(PartialFailureError) as found:
        ds.process_shards(len)

    assert found.value.failed_shards == ["b"]
    assert ds.with_options(on_error="skip").process_shards(len) == {"a": 3, "b": 1, "c": 3}
    missing = Dataset[Point]([tmp_path / "none.tar"])
    with pytest.raises(PartialFailureError) as found:
        missing.process_shards(len)
    assert isinstance(found.value.errors[str(tmp_path / "none.tar")], FileNotFoundError)


def test_a_checkpoint_goes_on_where_a_run_failed(ds: Dataset[Point], tmp_path: Path) -> None:
    """With the results of before, each shard done once, and no file left when all is done."""
    path = tmp_path / "done/checkpoint"
    done: list[int] = []
    broken = True

    def work(samples: list[Point]) -> list[int]:
        done.append(samples[0].n)
        if broken and samples[0].n == 6:
            raise RuntimeError
        return numbers(samples)

    with pytest.raises(PartialFailureError):
        ds.process_shards(work, checkpoint=path)
    assert path.exists()
    broken = False
    found = ds.process_shards(work, checkpoint=path)

    assert done == [0, 3, 6, 9, 6]
    assert found == ds.process_shards(numbers)
    assert list(found) == ds.list_shards()
    assert not path.exists()


def test_a_checkpoint_of_a_finished_run_is_removed(ds: Dataset[Point], tmp_path: Path) -> None:
    """Also if the run was stopped just before it would have removed it."""
    path = tmp_path / "checkpoint"
    saved: list[bytes] = []
    ds.process_shards(
        lambda s: saved.append(path.read_bytes()) if s[0].n else None, checkpoint=path
    )
    path.write_bytes(saved[-1])

    found = ds.process_shards(lambda s: None, checkpoint=path)

    assert list(found.values()) == [None] * 4
    assert not path.exists()


def test_a_run_of_other_shards_keeps_what_a_checkpoint_knows(
    ds: Dataset[Point], tmp_path: Path
) -> None:
    """A part that succeeds says nothing about the rest."""
    path = tmp_path / "checkpoint"
    shards = ds.list_shards()

    def failing(samples: list[Point]) -> int:
        if samples[0].n == 0:
            raise RuntimeError
        return len(samples)

    with pytest.raises(PartialFailureError):
        ds.process_shards(failing, checkpoint=path)

    assert ds.process_shards(len, shards=[], checkpoint=path) == {}
    assert ds.process_shards(len, shards=shards[1:2], checkpoint=path) == {shards[1]: 3}
    assert path.exists()
    assert ds.process_shards(len, shards=shards[:1], checkpoint=path) == {shards[0]: 3}
    assert not path.exists()


@pytest.mark.parametrize("data", [b"{", b"[1]\n", b'["a"]', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_checkpoint_is_an_error(ds: Dataset[Point], tmp_path: Path, data: bytes) -> None:
    """It is not taken for an empty one."""
    path = tmp_path / "checkpoint"
    path.write_bytes(data)

    with pytest.raises(ValueError, match="checkpoint .* is damaged"):
        ds.process_shards(len, checkpoint=path)


def test_results_that_no_checkpoint_can_hold_are_failures(
    ds: Dataset[Point], tmp_path: Path
) -> None:
    """With a reason; without a checkpoint results may be anything."""
    with pytest.raises(PartialFailureError, match="cannot be kept in a checkpoint"):
        ds.process_shards(lambda s: object(), checkpoint=tmp_path / "checkpoint")

    assert all(type(o) is object for o in ds.process_shards(lambda s: object()).values())


def test_a_shard_named_twice_is_processed_once(ds: Dataset[Point]) -> None:
    """By the caller, or by a dataset that is put behind itself."""
    shards = ds.list_shards()
    calls: list[int] = []

    ds.process_shards(lambda s: calls.append(len(s)), shards=[shards[0], shards[0]])
    ds.concat(ds).process_shards(lambda s: calls.append(len(s)), shards=shards[:1])

    assert calls == [3, 6]


def test_samples_without_a_type(ds: Dataset[Point]) -> None:
    """`DictSample`s like any others."""
    found = Dataset(ds.list_shards()).process_shards(lambda samples: samples[0])

    assert list(found.values())[1] == DictSample(n=3)
