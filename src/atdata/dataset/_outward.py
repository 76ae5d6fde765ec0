"""Ways out of a dataset: to other forms, to other libraries, and work on whole shards."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

from atdata._lazy import require
from atdata.dataset import _export, _jobs
from atdata.dataset._jobs import EngineName
from atdata.pipeline.chain import Chain
from atdata.pipeline.stream import Reading


class Outward[T]:
    """What a dataset can become; `Dataset` is the one class that is made of it."""

    @property
    def chain(self) -> Chain:
        """What is read and what is done to it."""
        raise NotImplementedError

    @property
    def options(self) -> Mapping[str, Any]:
        """How it is read."""
        raise NotImplementedError

    def to_dict(self, limit: int | None = None) -> dict[str, list[Any]]:
        """All samples as columns of Python values.

        Args:
            limit: Take no more samples than this.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "e.tar")
            >>> ds.to_dict(limit=2)
            {'n': [0, 1]}
        """
        return _export.to_dict(self, limit)

    def to_pandas(self, limit: int | None = None) -> Any:
        """All samples as a `pandas.DataFrame`, one row each; arrays stay arrays.

        Args:
            limit: Take no more samples than this.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "e.tar")
            >>> ds.to_pandas().n.sum().item()
            6
        """
        return _export.to_pandas(self, limit)

    def to_arrow(self, limit: int | None = None) -> Any:
        """All samples as a `pyarrow.Table`.

        Arrays of a declared shape become tensors of that shape, other arrays lists.

        Args:
            limit: Take no more samples than this.

        Raises:
            SchemaError: A field's values make no column.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "e.tar")
            >>> ds.to_arrow().column("n").to_pylist()
            [0, 1, 2, 3]
        """
        return _export.to_arrow(self, limit)

    def to_parquet(
        self,
        path: str | Path,
        sample_map: Callable[[T], Mapping[str, Any]] | None = None,
        maxcount: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the samples to Parquet, a row group at a time: all of it or nothing.

        Args:
            path: The file; with `maxcount`, files are `{stem}-000000.parquet` and so on.
            sample_map: Makes a row of each sample; by default its fields.
            maxcount: Most rows in a file.
            kwargs: Options of `pyarrow.parquet.ParquetWriter`.

        Raises:
            SchemaError: A field's values make no column.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "e.tar")
            >>> ds.to_parquet(tmp / "e.parquet", sample_map=lambda s: {"square": s.n**2})
            >>> import pyarrow.parquet
            >>> pyarrow.parquet.read_table(tmp / "e.parquet").to_pydict()
            {'square': [0, 1, 4, 9]}
        """
        _export.to_parquet(self, path, sample_map, maxcount, **kwargs)

    def to_torch(
        self,
        batch_size: int | None = None,
        *,
        shuffle: bool | Literal["window", "global"] = False,
        seed: int | None = None,
        buffer_shards: int = 100,
        buffer_samples: int = 10_000,
        fields: Sequence[str] | None = None,
        typed: bool = False,
        loader_batch_size: int | None = None,
        **reading: Unpack[Reading],
    ) -> Any:
        """The samples, or batches of them, as a torch `IterableDataset` of tensors.

        A `DataLoader` of it, or `.loader(num_workers)`, gives the same batches for any number of
        workers. Its state goes on with other workers and ranks.

        Args:
            batch_size: Samples in a batch, made here: use `DataLoader(…, batch_size=None)`.
                None: single samples.
            shuffle: True, or `"window"`, mixes within windows of shards, `"global"` all with all.
            seed: Makes the order reproducible. None: one is drawn, for all workers and epochs.
            buffer_shards: Shards in a window; see `shuffled`.
            buffer_samples: See `shuffled`.
            fields: Only these fields; None for all.
            typed: Give samples and batches as they are, without tensors.
            loader_batch_size: The `batch_size` of the loader, where that makes batches of single
                samples, so that their order does not depend on the number of workers.
            reading: See `Reading`; here `world` and `tail` are of use in distributed training.

        Raises:
            MissingExtraError: torch is not installed.
        """
        return _adapter("torch").to_torch(
            self,
            batch_size,
            shuffle=shuffle,
            seed=seed,
            buffer_shards=buffer_shards,
            buffer_samples=buffer_samples,
            fields=fields,
            typed=typed,
            loader_batch_size=loader_batch_size,
            **reading,
        )

    def as_torch_map(self, *, fields: Sequence[str] | None = None, typed: bool = False) -> Any:
        """The samples as a torch map-style `Dataset`, for samplers.

        Args:
            fields: Only these fields; None for all.
            typed: Give samples as they are, without tensors.

        Raises:
            MissingExtraError: torch is not installed.
        """
        return _adapter("torch").TorchMap(self, fields=fields, typed=typed)

    def to_jax(
        self,
        batch_size: int,
        *,
        shuffle: bool | Literal["window", "global"] = False,
        seed: int | None = None,
        buffer_shards: int = 100,
        buffer_samples: int = 10_000,
        fields: Sequence[str] | None = None,
        sharding: Any = None,
        **reading: Unpack[Reading],
    ) -> Any:
        """Batches for JAX: dicts of arrays, this process's share, all of one size.

        Args:
            batch_size: Samples in a batch of this process.
            shuffle: True, or `"window"`, mixes within windows of shards, `"global"` all with all.
            seed: Makes the order reproducible; needed where several processes shuffle.
            buffer_shards: Shards in a window; see `shuffled`.
            buffer_samples: See `shuffled`.
            fields: Only these fields; None for all, which then have to be numbers or arrays.
            sharding: A `jax.sharding.NamedSharding` to place batches with, as global arrays.
                None gives numpy arrays.
            reading: See `Reading`; samples and batches that do not go round are left out unless
                it says otherwise.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(5)]
            >>> ds = atdata.write_samples(samples, tmp / "j.tar")
            >>> [batch["n"].tolist() for batch in ds.to_jax(2)]
            [[0, 1], [2, 3]]
        """
        return _adapter("jax").to_jax(
            self,
            batch_size,
            shuffle=shuffle,
            seed=seed,
            buffer_shards=buffer_shards,
            buffer_samples=buffer_samples,
            fields=fields,
            sharding=sharding,
            **reading,
        )

    def as_grain_source(self, *, fields: Sequence[str] | None = None, typed: bool = False) -> Any:
        """The samples as a Grain `RandomAccessDataSource`: dicts of arrays.

        Args:
            fields: Only these fields; None for all, which then have to be numbers or arrays.
            typed: Give samples as they are.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(5)]
            >>> atdata.write_samples(samples, tmp / "g.tar").as_grain_source()[3]
            {'n': np.int64(3)}
        """
        return _adapter("jax").GrainSource(self, fields=fields, typed=typed)

    def to_ray(
        self,
        *,
        fields: Sequence[str] | None = None,
        override_num_blocks: int | None = None,
        concurrency: int | None = None,
    ) -> Any:
        """The samples as rows of a Ray Data dataset, read in parallel by a cluster.

        A task reads some shards, or part of one where there are more tasks than shards. All that
        is done to the samples is done there. Arrays of one shape are tensors of Ray's; samples
        inside of samples are dicts, members of enums their values.

        Args:
            fields: Only these fields; `select_columns` of the result does the same.
            override_num_blocks: How many tasks read; by default, Ray decides.
            concurrency: How many of them may run at a time.

        Returns:
            A `ray.data.Dataset`. It keeps the order of the samples if
            `ray.data.DataContext.get_current().execution_options.preserve_order` is set.

        Raises:
            ValueError: There is no such field, or this is a mixture.
            MissingExtraError: Ray is not installed.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "r.tar")
            >>> ds.to_ray().sum("n")  # doctest: +SKIP
            6
        """
        return _adapter("ray").to_ray(
            self, fields=fields, override_num_blocks=override_num_blocks, concurrency=concurrency
        )

    def process_shards(
        self,
        fn: Callable[[list[T]], Any],
        *,
        shards: Sequence[str] | None = None,
        checkpoint: str | Path | None = None,
        on_shard_error: Callable[[str, Exception], object] | None = None,
        engine: EngineName | None = None,
        workers: int | None = None,
        retries: int | None = None,
    ) -> dict[str, Any]:
        """Call a function with each shard's samples, as a list.

        Args:
            fn: Gets the samples of one shard, after all that is done to them.
            shards: Only these; an empty list means none.
            checkpoint: A file that remembers what is done, with its results, which must be JSON
                values then. A later call goes on from there. It is removed when all is done.
            on_shard_error: Told of each shard that fails.
            engine: Where the function is called. None: here, one shard after the other.
                `"processes"`: in new processes of this machine, for which functions and classes
                have to be importable, and the program's own work to stand under
                `if __name__ == "__main__":`. `"ray"`: on the Ray cluster that runs, or on one that
                is started on this machine.
            workers: How many shards are worked on at a time. By default, as many as there are
                processors, or as the cluster has room for.
            retries: How often a shard that fails is tried again. By default, twice if its worker
                dies, and not at all if the function raises.

        Returns:
            The results by shard, in order, also of those that an earlier call did.

        Raises:
            PartialFailureError: Some shards failed; the others are done.
            TypeError: Functions or types cannot be sent to other processes.
            MissingExtraError: Ray is not installed.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "e.tar")
            >>> list(ds.process_shards(lambda samples: sum(s.n for s in samples)).values())
            [6]
        """
        return _jobs.process_shards(
            self.chain,
            fn,
            on_error=self.options["on_error"],
            shards=shards,
            checkpoint=checkpoint,
            on_shard_error=on_shard_error,
            engine=engine,
            workers=workers,
            retries=retries,
        )


def _adapter(name: Literal["torch", "jax", "ray"]) -> Any:
    """The module that knows a library, which may not be installed."""
    return require(f"atdata.adapters.{name}", extra=name)
