"""Only the bytes of the answer are read from a server, and each is compared with its digest."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.http_server import Fault, FileServer, serving

import atdata
from atdata import Dataset, ManifestError, ShardError
from atdata.shard.ranges import ranges_of

N, N_SHARDS = 3000, 10
_FOOTER = 80
"""Bytes of a shard's end that say whether its manifest is of this shard."""


@atdata.packable
class Photo:
    """A small picture and what is known of it."""

    image: NDArray[np.uint8]
    label: str
    score: float


def photos(n: int = N) -> Iterator[Photo]:
    """Pictures of about 3 KB, the same each time."""
    some = np.random.default_rng(5)
    for i in range(n):
        image = some.integers(0, 255, (32, 32, 3), np.uint8)
        yield Photo(image, f"label {i % 7}", float(some.random()))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    atdata.write_samples(photos(), folder / "p.tar", maxcount=N // N_SHARDS, manifest=True)
    with serving(folder) as running:
        yield running


def opened(server: FileServer, tmp_path: Path) -> Dataset[Photo]:
    """The dataset as others read it, with a cache of its own."""
    address = server.url(f"p-{{000000..{N_SHARDS - 1:06d}}}.tar")
    return Dataset[Photo](address, cache_dir=tmp_path / "cache")


def spans(server: FileServer) -> list[tuple[int, int]]:
    """The ranges of shards that were asked for, as first byte and length."""
    found: list[tuple[int, int]] = []
    for seen in server.seen:
        if seen.path.endswith(".tar"):
            first, last = seen.headers["range"].removeprefix("bytes=").split("-")
            found.append((int(first), int(last) - int(first) + 1))
    return found


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_only_the_matching_ranges_are_read(
    server: FileServer, tmp_path: Path, share: float
) -> None:
    ds = opened(server, tmp_path)
    found = list(ds.where(ds.fields.score < share))
    wanted = [photo for photo in photos() if photo.score < share]
    assert [photo.score for photo in found] == [photo.score for photo in wanted]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(found, wanted, strict=True))

    asked = spans(server)
    checks = [one for one in asked if one[1] <= _FOOTER]
    reads = [one for one in asked if one[1] > _FOOTER]
    assert len(checks) == N_SHARDS  # one small look at each shard's end, whatever is selected
    payload = sum(len(atdata.pack(photo)) for photo in wanted)
    assert sum(n for _, n in asked) <= 1.2 * payload
    assert len(reads) == _n_ranges(server, share)


def _n_ranges(server: FileServer, share: float) -> int:
    """How many ranges the matching samples make when neighbours are read together."""
    local = Dataset[Photo](str(server.folder / f"p-{{000000..{N_SHARDS - 1:06d}}}.tar"))
    places = local.query(local.fields.score < share)
    n = 0
    for shard in local.list_shards():
        mine = [one for one in places if one.shard == shard]
        at = np.array([one.offset for one in mine], np.int64)
        n += len(ranges_of(at, np.array([one.size for one in mine], np.int64)))
    return n


def test_questions_alone_read_no_sample(server: FileServer, tmp_path: Path) -> None:
    ds = opened(server, tmp_path)
    Q = ds.fields
    assert ds.count(Q.score < 0.5) == sum(photo.score < 0.5 for photo in photos())
    assert ds.value_counts("label")["label 3"] == sum(i % 7 == 3 for i in range(N))
    assert all(n <= _FOOTER for _, n in spans(server))


def test_a_value_that_no_shard_holds_fetches_no_parquet_file(
    server: FileServer, tmp_path: Path
) -> None:
    ds = opened(server, tmp_path)
    assert list(ds.where(ds.fields.label == "no such label")) == []
    assert ds.count(ds.fields.score > 2) == 0
    assert not [one for one in server.seen if one.path.endswith(".parquet")]


def test_the_same_samples_are_not_fetched_twice(server: FileServer, tmp_path: Path) -> None:
    ds = opened(server, tmp_path)
    chosen = ds.where(ds.fields.score < 0.05)
    first = [photo.score for photo in chosen]
    n = len(spans(server))
    assert [photo.score for photo in chosen] == first
    again = opened(server, tmp_path)
    assert [photo.score for photo in again.where(again.fields.score < 0.05)] == first
    assert len([one for one in spans(server)[n:] if one[1] > _FOOTER]) == 0


def test_order_and_resume_are_those_of_local_files(server: FileServer, tmp_path: Path) -> None:
    there = opened(server, tmp_path)
    here = Dataset[Photo](str(server.folder / f"p-{{000000..{N_SHARDS - 1:06d}}}.tar"))
    chosen = [ds.where(ds.fields.score < 0.2) for ds in (there, here)]
    orders = [[p.score for p in ds.shuffled(seed=3, batch_size=None)] for ds in chosen]
    assert orders[0] == orders[1]
    stream = chosen[0].shuffled(seed=3)
    begun = iter(stream)
    first = [next(begun).score for _ in range(100)]
    resumed = chosen[1].shuffled(seed=3)
    resumed.load_state_dict(stream.state_dict())
    assert first + [photo.score for photo in resumed] == orders[0]


def test_one_sample_by_position_key_and_place(server: FileServer, tmp_path: Path) -> None:
    ds = opened(server, tmp_path)
    chosen = ds.where(ds.fields.score < 0.01)
    places = chosen.query()
    assert chosen[3].score == ds.select([places[3]])[0].score
    assert chosen.get(places[3].key).score == chosen[3].score
    assert [key for key, _ in chosen.items()] == [one.key for one in places]


def test_a_payload_that_is_not_the_one_is_refused(server: FileServer, tmp_path: Path) -> None:
    ds = opened(server, tmp_path)
    place = ds.query(ds.fields.score < 0.01)[0]
    path = server.folder / place.shard.rpartition("/")[2]
    data = bytearray(path.read_bytes())
    data[place.offset + place.size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardError, match="digests differ") as caught:
        list(opened(server, tmp_path).where(ds.fields.score < 0.01))
    assert caught.value.offset == place.offset
    assert caught.value.key == place.key


def test_a_shard_that_was_replaced_is_noticed_before_anything_is_answered(
    server: FileServer, tmp_path: Path
) -> None:
    other = tmp_path / "other.tar"
    atdata.write_samples(list(photos(N // N_SHARDS))[::-1], other)
    other.replace(server.folder / "p-000004.tar")
    ds = opened(server, tmp_path)
    with pytest.raises(ManifestError, match="p-000004") as caught:
        ds.count(ds.fields.score > 2)
    assert "atdata manifest build" in str(caught.value)
    kept = ds.where(ds.fields.score < 0.01, missing="scan")
    wanted = [photo.score for photo in ds if photo.score < 0.01]
    assert [photo.score for photo in kept] == wanted


def test_what_was_read_is_what_was_explained(server: FileServer, tmp_path: Path) -> None:
    ds = opened(server, tmp_path)
    chosen = ds.where(ds.fields.score < 0.03, ds.fields.label == "label 2")
    told = chosen.explain(analyze=True)
    assert told.actual is not None
    assert (told.actual.requests, told.actual.n_bytes) == (told.ranges, told.n_bytes)
    assert told.actual.samples == told.rows == len(chosen)
    assert "2 passed over" not in str(told)
    assert f"{told.rows:,} of {N:,}" in str(told)


def test_a_server_without_ranges_gives_the_whole_shard(server: FileServer, tmp_path: Path) -> None:
    server.always = Fault(ignore_range=True)
    ds = opened(server, tmp_path)
    found = [photo.score for photo in ds.where(ds.fields.score < 0.01)]
    assert found == [photo.score for photo in photos() if photo.score < 0.01]
