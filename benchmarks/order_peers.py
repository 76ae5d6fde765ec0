"""Libraries that stream training data in shuffled order from files of their own.

They are measured where they are installed. Each has its files written by its own writer.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workloads import BATCH, Place

type Columns = Iterator[Any]


def torch_loader(dataset: Any, **options: Any) -> Any:
    """A torch `DataLoader` with two workers, which stay from pass to pass."""
    from torch.utils.data import DataLoader

    return DataLoader(dataset, num_workers=2, persistent_workers=True, **options)


def records(place: Place) -> Iterator[dict[str, Any]]:
    """The samples as dictionaries."""
    names = place.workload.fields
    for sample in place.workload.make(place.n):
        yield {name: getattr(sample, name) for name in names}


class Mosaic:
    """MosaicML streaming, from MDS files."""

    name = "mosaic streaming"
    module = "streaming"
    workloads = "M"

    def shuf(self, place: Place) -> Any:
        dataset = self._dataset(place)
        return lambda: iter(dataset)

    def loader(self, place: Place) -> Any:
        loader = torch_loader(self._dataset(place), batch_size=BATCH)
        return lambda: iter(loader)

    def prepare(self, place: Place) -> None:
        """Write the MDS files."""
        import streaming

        if self._folder(place).exists():
            return
        columns = {"x": "ndarray:float32:768", "text": "str", "label": "int"}
        with streaming.MDSWriter(out=str(self._folder(place)), columns=columns) as writer:
            for record in records(place):
                writer.write(record)

    @classmethod
    def _dataset(cls, place: Place) -> Any:
        import streaming

        # What earlier measurements left; their processes ended at once.
        streaming.base.util.clean_stale_shared_memory()
        return streaming.StreamingDataset(
            local=str(cls._folder(place)),
            shuffle=True,
            shuffle_seed=1,
            batch_size=BATCH,
            num_canonical_nodes=1,
        )

    @staticmethod
    def _folder(place: Place) -> Path:
        return place.folder / f"{place.workload.name}-{place.n}-mds"


class LitData:
    """litData, from chunks of 64 MB."""

    name = "litdata"
    module = "litdata"
    workloads = "M"

    def shuf(self, place: Place) -> Any:
        dataset = self._dataset(place)
        return lambda: iter(dataset)

    def loader(self, place: Place) -> Any:
        import litdata

        loader = litdata.StreamingDataLoader(
            self._dataset(place), batch_size=BATCH, num_workers=2, persistent_workers=True
        )
        return lambda: iter(loader)

    def prepare(self, place: Place) -> None:
        """Write the chunks."""
        from litdata.streaming.writer import BinaryWriter

        if self._folder(place).exists():
            return
        writer = BinaryWriter(str(self._folder(place)), chunk_bytes="64MB")
        for i, record in enumerate(records(place)):
            writer.add_item(i, record)
        writer.done()
        writer.merge()

    @classmethod
    def _dataset(cls, place: Place) -> Any:
        import litdata

        return litdata.StreamingDataset(str(cls._folder(place)), shuffle=True, seed=1)

    @staticmethod
    def _folder(place: Place) -> Path:
        return place.folder / f"{place.workload.name}-{place.n}-litdata"


class Grain:
    """Grain, from an ArrayRecord file of msgpack samples, a record a group."""

    name = "grain"
    module = "grain"
    workloads = "M"

    def shuf(self, place: Place) -> Any:
        import grain

        source = grain.sources.ArrayRecordDataSource(str(self._file(place)))
        decode = place.workload.decoder()
        dataset = grain.MapDataset.source(source).shuffle(seed=1).map(decode).to_iter_dataset()
        return lambda: iter(dataset)

    def prepare(self, place: Place) -> None:
        """Write the ArrayRecord file."""
        from array_record.python.array_record_module import ArrayRecordWriter

        if self._file(place).exists():
            return
        writer = ArrayRecordWriter(str(self._file(place)), "group_size:1")
        encode = place.workload.encoder()
        for sample in place.workload.make(place.n):
            writer.write(encode(sample))
        writer.close()

    @staticmethod
    def _file(place: Place) -> Path:
        return place.folder / f"{place.workload.name}-{place.n}.array_record"
