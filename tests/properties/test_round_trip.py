"""What was written is what is read, from anywhere and in any way."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.dataset.places import KINDS, put
from tests.http_server import Fault, FileServer
from tests.properties.kinds import OTHER, PLAIN, alike, lists_of

import atdata
from atdata import Dataset, SampleBatch
from atdata.sample.same import same

ANY_SAMPLES = lists_of(PLAIN + OTHER) | alike(PLAIN)


def check_reading(ds: Dataset[Any], given_: list[Any], size: int) -> None:
    """Every way of reading gives the samples."""
    n = len(given_)
    keys = [f"{i:09d}" for i in range(n)]

    assert list(ds) == given_
    assert list(ds.items()) == list(zip(keys, given_, strict=True))
    assert len(ds) == n
    batches = list(ds.ordered(batch_size=size))
    assert [sample for batch in batches for sample in batch] == given_
    for number, batch in enumerate(batches):
        wanted = SampleBatch(given_[number * size : (number + 1) * size])
        assert same(batch.to_dict(), wanted.to_dict())
    assert [ds[i] for i in range(n)] == given_
    assert ds.select(range(n - 1, -1, -1)) == given_[::-1]
    assert [ds.get(key) for key in keys] == given_
    orders = [list(ds.shuffled(seed=5, epoch=epoch)) for epoch in (0, 0, 1)]
    assert orders[0] == orders[1]
    for order in orders:
        assert counted(order) == counted(given_)
    in_batches = ds.shuffled(seed=5, batch_size=size)
    assert [sample for batch in in_batches for sample in batch] == orders[0]


def counted(samples: list[Any]) -> Counter[bytes]:
    return Counter(atdata.pack(sample) for sample in samples)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=max(10, settings.default.max_examples // 3))
@given(given_=ANY_SAMPLES, maxcount=st.sampled_from([3, 100]), size=st.integers(1, 9))
def test_any_samples_come_back(kind: str, given_: list[Any], maxcount: int, size: int) -> None:
    """Samples of any type come back equal, in order, batched, by position, by key and shuffled."""
    with TemporaryDirectory() as folder:
        ds = put(Path(folder), given_, kind, maxcount=maxcount)

        check_reading(ds, given_, size)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("kind", ["indexed", "foreign", "gz"])
@settings(max_examples=2, suppress_health_check=list(HealthCheck))
@given(given_=lists_of(PLAIN + OTHER, max_size=5), size=st.integers(1, 4))
def test_any_samples_come_back_over_http(
    server: FileServer, kind: str, ranges: bool, given_: list[Any], size: int
) -> None:
    """The same, from a web server that gives ranges and from one that does not."""
    server.always = Fault(ignore_range=not ranges)
    with TemporaryDirectory() as folder:
        local = put(Path(folder), given_, kind, maxcount=4)
        urls = [
            server.put(f"{i}-{Path(shard).name}", Path(shard).read_bytes())
            for i, shard in enumerate(local.list_shards())
        ]

        check_reading(Dataset(urls, sample_type=type(given_[0])), given_, size)


def test_orders_differ_by_seed_and_by_epoch(tmp_path: Path) -> None:
    """Each seed and each epoch has its own order; without a seed, each pass has."""
    ds = atdata.write_samples(
        [atdata.DictSample(n=i) for i in range(200)], tmp_path / "s.tar", maxcount=30
    )

    orders = [
        [s.n for s in stream]
        for stream in (
            ds.ordered(), ds.shuffled(seed=1), ds.shuffled(seed=2), ds.shuffled(seed=1, epoch=1),
            ds.shuffled(), ds.shuffled(),
        )
    ]  # fmt: skip

    assert len({tuple(order) for order in orders}) == 6
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(200))}
