"""Adding samples to a dataset that is there."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.index.kinds import Point, files, numbers, pending, points, shards

import atdata
from atdata import DictSample, Index, RecordNotFoundError, SchemaError


def test_samples_come_behind_those_that_are_there(index: Index) -> None:
    """Old shards stay as they are; what was said of the dataset stays said."""
    first = index.write(points(3), name="log", version="1.0.0", tags=["t"], metadata={"a": 1})

    second = index.append(points(3, 3), name="log", maxcount=2)

    assert numbers(index.open("log")) == list(range(6))
    assert second.data_urls[: len(first.data_urls)] == first.data_urls
    assert (second.tags, second.metadata, second.parents) == (("t",), {"a": 1}, (first.cid,))
    assert second == index.get_dataset("log")
    assert index.search(tags=["t"]).items[0].record == second
    assert [found.cid for found in index.provenance("log")] == [first.cid]


def test_four_threads_lose_nothing(index: Index) -> None:
    """Each one's samples are there, together and in their order."""
    index.write(points(1), name="log")

    def add(thread: int) -> None:
        for i in range(4):
            index.append(points(3, 1000 * (thread + 1) + 10 * i), name="log")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(4)))

    found = numbers(index.open("log"))
    wanted = [0] + [
        1000 * (t + 1) + 10 * i + j for t in range(4) for i in range(4) for j in range(3)
    ]
    assert sorted(found) == wanted
    runs = [found[i : i + 3] for i in range(1, len(found), 3)]
    assert all(run == list(range(run[0], run[0] + 3)) for run in runs)
    for thread in range(4):
        mine = [run[0] for run in runs if run[0] // 1000 == thread + 1]
        assert mine == sorted(mine)
    assert pending(index) == []


def other_point() -> type[object]:
    """Another class of the same name."""

    @atdata.packable
    class Point:
        """A small sample."""

        name: str
        n: int
        weight: float

    return Point


def test_samples_of_another_schema_are_refused(local: Index) -> None:
    """The message names what differs; nothing is stored."""
    local.write(points(3), name="log")
    before = shards(local)

    with pytest.raises(SchemaError, match=r"\+ weight: float"):
        local.append([other_point()("a", 1, 1.5)], name="log")  # type: ignore[call-arg]
    with pytest.raises(SchemaError, match="DictSample"):
        local.append([DictSample(n=1)], name="log")

    assert shards(local) == before
    assert [schema.name for schema in local.schemas] == ["Point"]
    assert pending(local) == []


def test_an_untyped_dataset_takes_untyped_samples_alone(local: Index) -> None:
    """And these with any fields."""
    local.write([DictSample(n=1)], name="d")

    local.append([DictSample(m="x")], name="d")

    assert [dict(sample.items()) for sample in local.open("d")] == [{"n": 1}, {"m": "x"}]
    with pytest.raises(SchemaError, match="Point"):
        local.append(points(1), name="d")


def test_there_must_be_something_to_add_to(local: Index) -> None:
    """And something to add."""
    with pytest.raises(RecordNotFoundError, match="log"):
        local.append(points(1), name="log")
    assert shards(local) == []
    local.write(points(1), name="log")
    with pytest.raises(ValueError, match="non-empty"):
        local.append([], name="log")
    with pytest.raises(ValueError, match="version="):
        local.append(points(1), name="log@1.0.0")


def test_a_dataset_that_goes_meanwhile_is_not_added_to(local: Index) -> None:
    """The samples are removed again, and the error says that nothing is there."""
    local.write(points(1), name="log")

    def samples() -> object:
        yield Point("a", 1)
        local.delete_dataset("log")
        yield Point("b", 2)

    with pytest.raises(RecordNotFoundError):
        local.append(samples(), name="log")  # type: ignore[arg-type]

    assert shards(local) == []
    assert pending(local) == []


def test_shards_elsewhere_are_added_to(local: Index, tmp_path: Path) -> None:
    """They stay where they are, and the new ones lie in the store."""
    ds = atdata.write_samples(points(3), tmp_path / "mine/p.tar")
    local.insert_dataset(ds, name="log")

    entry = local.append(points(2, 3), name="log")

    assert numbers(local.open("log")) == list(range(5))
    assert entry.data_urls[0] == ds.list_shards()[0]
    assert len(local.delete_dataset("log").keys) == 1
    assert files(tmp_path / "mine") == ["p.tar"]


def test_a_dataset_may_be_added_to_very_often(local: Index) -> None:
    """A record holds no list that grows with each time and has a limit."""
    local.write(points(1), name="log")
    for i in range(30):
        local.append(points(1, i + 1), name="log")

    rows = list(local.provider.rows("entry", name="log"))

    assert max(len(row.refs) for row in rows) < 10
    assert local.get_dataset("log").n_samples == 31
