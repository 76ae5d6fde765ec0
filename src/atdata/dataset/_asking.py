"""Asking a dataset about its samples: `where`, and all that goes with it."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Self

from atdata.dataset._explanation import Explanation
from atdata.manifest.locations import SampleLocation
from atdata.pipeline.chain import Chain
from atdata.pipeline.chosen import Missing
from atdata.predicate import Field, Predicate, fields_of
from atdata.sample.dynamic import DictSample

type Question = Predicate | Field[Any] | bool | Callable[[Any], Any]
"""A predicate, which a type checker sees as the bool that it is for one sample; a field that is a
bool; or a function that marks rows of a `pandas.DataFrame`."""


def _answers() -> Any:
    """What answers; loaded when something is asked, as it needs pyarrow."""
    return import_module("atdata.dataset._questions")


class Asking[T]:
    """What a dataset can be asked; `Dataset` is the one class that is made of it."""

    @property
    def chain(self) -> Chain:
        """What is read and what is done to it."""
        raise NotImplementedError

    @property
    def sample_type(self) -> type[T]:
        """The samples' type."""
        raise NotImplementedError

    def derived(self, chain: Chain, view: type[Any] | None = None) -> Any:
        """A dataset that reads something else as this one does."""
        raise NotImplementedError

    @property
    def fields(self) -> T:
        """The samples' fields, to make predicates of.

        A type checker sees a sample, so it knows each field's type and refuses one that is
        not there: `Q.score > 0.9` is a bool to it. For the methods of fields, it sees
        `atdata.col(Q.label)` as a `Field[str]`.

        Examples:
            >>> import atdata
            >>> @atdata.packable
            ... class Photo:
            ...     label: str
            ...     score: float
            >>> photos = [Photo("cat", 0.95), Photo("dog", 0.97), Photo("cat", 0.2)]
            >>> ds = atdata.write_samples(photos, tmp / "p.tar", manifest=True)
            >>> Q = ds.fields
            >>> list(ds.where((Q.score > 0.9) & atdata.col(Q.label).isin(["cat", "bird"])))
            [Photo(label='cat', score=0.95)]
        """
        found: Any = fields_of(self.sample_type)
        return found  # type: ignore[no-any-return]

    def where(self, *questions: Question, missing: Missing = "error") -> Self:
        """The samples of which all predicates are true.

        Which these are is found out when it is first needed, from the manifests beside the shards;
        then only they are read, by position or by ranges. What manifests do not hold is asked of
        the samples themselves, once they are decoded; `explain()` says which is which.

        Args:
            questions: Made of `ds.fields` or `atdata.F`.
            missing: What to do about shards without a manifest that can be used: `"error"`, or
                `"scan"`, which reads all of their samples.

        Raises:
            UnknownFieldError: The samples have no such field.
            TypeError: A comparison can never hold, or something is no predicate.
            ManifestError: Shards have no manifest that can be used; raised when samples are read.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i, even=i % 2 == 0) for i in range(10)]
            >>> ds = atdata.write_samples(samples, tmp / "n.tar", manifest=True)
            >>> small = ds.where(atdata.F.n < 5, atdata.F.even)
            >>> len(small), [sample.n for sample in small]
            (3, [0, 2, 4])
        """
        new: Self = self.derived(_answers().where(self, questions, missing))
        return new

    def query(self, *questions: Question, missing: Missing = "error") -> list[SampleLocation]:
        """Where the samples are of which all predicates are true: shard, key, offset and size.

        Args:
            questions: As in `where`; without any, where all samples of this dataset are.
            missing: As in `where`.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "q.tar", manifest=True)
            >>> [(found.key, found.offset) for found in ds.query(atdata.F.n > 2)]
            [('000000003', 3584)]
        """
        found: list[SampleLocation] = _answers().locations(self.where(*questions, missing=missing))
        return found

    def count(self, *questions: Question, missing: Missing = "error") -> int:
        """How many samples there are of which all predicates are true.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "c.tar", manifest=True)
            >>> ds.count(atdata.F.n > 0)
            3
        """
        found: Any = self.where(*questions, missing=missing)
        return len(found)

    def value_counts(self, field: object, *, missing: Missing = "error") -> dict[Any, int]:
        """How often each value of a field occurs, the most frequent first.

        Of a field that holds lists, items are counted. None is counted as a value.

        Args:
            field: Its name, or the field itself.
            missing: As in `where`.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(label="ab"[i % 3 // 2]) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "v.tar", manifest=True)
            >>> ds.value_counts("label")
            {'a': 3, 'b': 1}
        """
        counts: dict[Any, int] = _answers().value_counts(self, field, missing)
        return counts

    def aggregate(
        self, *, by: object = None, missing: Missing = "error", **wanted: tuple[object, str] | str
    ) -> dict[str, Any]:
        """Figures over all samples, or over those of each group.

        Args:
            by: A field; its values make the groups.
            missing: As in `where`.
            wanted: For each name a field and what is worked out: `"count"` of those that are not
                None, `"nulls"`, `"min"`, `"max"`, `"sum"`, `"mean"`, `"std"` or `"distinct"`; or
                `"count"` alone for the number of samples.

        Returns:
            A value for each name; with `by`, a list of groups under each name, and the groups'
            values under the name of the field.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(label="ab"[i % 2], x=float(i)) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "a.tar", manifest=True)
            >>> ds.aggregate(n="count", best=("x", "max"), middle=("x", "mean"))
            {'n': 4, 'best': 3.0, 'middle': 1.5}
            >>> ds.aggregate(by="label", best=("x", "max"))
            {'label': ['a', 'b'], 'best': [2.0, 3.0]}
        """
        figures: dict[str, Any] = _answers().aggregate(self, wanted, by, missing)
        return figures

    def order_by(
        self,
        *fields: object,
        descending: bool | Sequence[bool] = False,
        missing: Missing = "error",
    ) -> Self:
        """The samples in the order of one or more fields.

        Samples that are equal in all of them stay in the order in which they are stored. None and
        NaN come last.

        Args:
            fields: Their names, or the fields themselves.
            descending: Whether the largest come first; for all fields, or for each.
            missing: As in `where`.

        Raises:
            TypeError: A field is worked out while reading, or its values have no order.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(x=x) for x in (0.5, 2.0, 1.0)]
            >>> ds = atdata.write_samples(samples, tmp / "o.tar", manifest=True)
            >>> [sample.x for sample in ds.order_by("x", descending=True).limit(2)]
            [2.0, 1.0]
        """
        new: Self = self.derived(_answers().order_by(self, fields, descending, missing))
        return new

    def limit(self, n: int) -> Self:
        """The first `n` samples; the same as `take`.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(4)]
            >>> len(atdata.write_samples(samples, tmp / "l.tar").limit(3))
            3
        """
        taken: Self = self.take(n)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        return taken

    def split(
        self,
        shares: Mapping[str, float],
        *,
        by: object = None,
        seed: int = 0,
        missing: Missing = "error",
    ) -> dict[str, Self]:
        """Deal the samples out at random into datasets that have none in common.

        Each gets as many as its share says, to within one sample. Within each, samples keep the
        order in which they are stored. The same seed gives the same datasets on any machine.

        Args:
            shares: A weight for each name; they need not add up to 1.
            by: A field. Of the samples with one value, each dataset gets its share too.
            seed: Makes another split.
            missing: As in `where`; shards are asked only where `by` or a predicate needs it.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(label="ab"[i % 5 // 4]) for i in range(50)]
            >>> ds = atdata.write_samples(samples, tmp / "s.tar", manifest=True)
            >>> parts = ds.split({"train": 0.8, "test": 0.2}, by="label")
            >>> {name: part.value_counts("label") for name, part in parts.items()}
            {'train': {'a': 32, 'b': 8}, 'test': {'a': 8, 'b': 2}}
        """
        chains: dict[str, Chain] = _answers().split(self, shares, by, seed, missing)
        return {name: self.derived(chain) for name, chain in chains.items()}

    def explain(self, *, analyze: bool = False) -> Explanation:
        """How the samples would be found and read, in figures.

        Args:
            analyze: Read them all, too, and say what that took.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(100)]
            >>> ds = atdata.write_samples(samples, tmp / "x.tar", maxcount=10, manifest=True)
            >>> plan = ds.where(atdata.F.n >= 95).explain()
            >>> plan.shards, plan.pruned, plan.rows
            (10, 9, 5)
        """
        found: Explanation = _answers().explained(self, analyze=analyze)
        return found

    def sql(self, query: str, *, missing: Missing = "error") -> Any:
        """Ask in SQL, by DuckDB, about the samples of this dataset: the table is called `this`.

        Its columns are the fields that the manifests hold, and `__key__`, `__shard__`,
        `__offset__` and `__size__`.

        Args:
            query: One statement of DuckDB's SQL.
            missing: As in `where`.

        Returns:
            A `pyarrow.Table`. Integers wider than 64 bits, and sums of integers, come as
            `decimal128(38, 0)`, in Python a `Decimal` each.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(label="ab"[i % 2], x=float(i)) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "sql.tar", manifest=True)
            >>> ds.sql("select label, avg(x) as x from this group by 1 order by 1").to_pydict()
            {'label': ['a', 'b'], 'x': [1.0, 2.0]}
        """
        return _answers().sql(self, query, missing)

    def _window_of_chosen(self, skip: int, take: int | None) -> Chain | None:
        """Some of the samples that were chosen; None if that cannot be known beforehand."""
        found: Chain | None = _answers().windowed(self.chain, skip, take)
        return found

    def _of_fields(self, fields: Sequence[object]) -> Any:
        """A dataset of some fields of each sample."""
        return self.derived(_answers().only(self, fields), DictSample)

    def _at_places(self, places: Sequence[SampleLocation]) -> list[T]:
        """The samples at some places."""
        found: list[T] = _answers().at_places(self, places)
        return found
