"""A store is given shards while the samples behind them are still being made."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import atdata
from atdata._protocols import DataSource
from atdata.index import Index
from atdata.model.shard import FinishedShard, StoredShard
from atdata.stores import LocalDiskStore


class SlowStore:
    """A store elsewhere: a shard is only there once the samples after it have been asked for."""

    def __init__(self, root: Path) -> None:
        self.inner = LocalDiskStore(root)
        self.beyond = threading.Event()
        self.in_time: list[bool] = []
        self.on_disk: list[int] = []

    def put(self, shard: FinishedShard, *, key: str) -> StoredShard:
        self.in_time.append(self.beyond.wait(timeout=20))
        self.on_disk.append(len(list(shard.path.parent.glob("*.tar"))))
        return self.inner.put(shard, key=key)

    def url(self, key: str) -> str:
        return self.inner.url(key)

    def source(self, shards: Sequence[StoredShard]) -> DataSource:
        return self.inner.source(shards)


def test_shards_are_stored_while_later_samples_are_made(tmp_path: Path) -> None:
    """The first shard's upload waits for a later sample, and gets it; few shards wait on disk."""
    store = SlowStore(tmp_path / "store")

    def samples() -> Iterator[atdata.DictSample]:
        for i in range(10_000):
            if i == 2500:
                store.beyond.set()
            yield atdata.DictSample(n=i)

    with Index(path=tmp_path / "index.db", data_store=store) as index:
        entry = index.write(samples(), name="slow", maxcount=1000)

        assert store.in_time == [True] * 10
        assert max(store.on_disk) <= 3
        assert [sample.n for sample in index.open("slow")] == list(range(10_000))
    assert entry.n_samples == 10_000
