"""Answers about a dataset: places, counts and figures, from manifests where they tell."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from atdata._typing import Int64Array
from atdata.manifest.locations import SampleLocation
from atdata.pipeline.access import Segment
from atdata.pipeline.chain import Chain, Part
from atdata.pipeline.chosen import Missing, Places
from atdata.pipeline.open import open_shard
from atdata.pipeline.paths import stored_path
from atdata.pipeline.pushing import selection_of
from atdata.pipeline.selection import Selection
from atdata.pipeline.values import joined
from atdata.predicate import F, check, get_path, plain
from atdata.predicate.arrow import pc, plain_list
from atdata.shard.mapped import MappedShard
from atdata.shard.ranged import RangedShard

# -- where samples are


def locations(dataset: Any) -> list[SampleLocation]:
    """Where the samples of a dataset are, in its order."""
    positions = dataset._located()
    numbers, places = positions.all()
    found: list[list[SampleLocation]] = []
    for segment in positions.segments:
        rows = np.asarray(segment.stored_rows, np.int64)
        where = _places(segment, rows)
        columns = (where.keys, where.at.tolist(), where.size.tolist())
        shard = segment.shard_id
        found.append([SampleLocation(shard, *one) for one in zip(*columns, strict=True)])
    if numbers is None:
        return [one for some in found for one in some]
    return [found[n][at] for n, at in zip(numbers.tolist(), places.tolist(), strict=True)]


def _places(segment: Segment, rows: Int64Array) -> Places:
    """Where rows of a shard lie, by its manifest if that was read, else by the shard."""
    choice = segment.part.choice
    if isinstance(choice, Selection):
        known = choice.places(segment.shard_id, rows)
        if known is not None:
            return known
    shard = open_shard(segment.part.source, segment.shard_id, segment.part.cache)
    if not isinstance(shard, MappedShard | RangedShard):
        shard = segment.open_mapped()
    keys = shard.keys.take(rows)
    return Places(shard.at[rows], shard.size[rows], np.zeros(len(rows), np.uint64), keys)


# -- what they hold


def columns(dataset: Any, paths: Iterable[str], missing: Missing) -> dict[str, Any]:
    """Fields of all samples, each as one `pyarrow.Array`; from manifests where they hold them.

    Raises:
        UnknownFieldError: The samples have no such field.
        TypeError: Its values are not plain, or of several types.
    """
    wanted = list(dict.fromkeys(paths))
    for path in wanted:
        check(F[path].is_null(), dataset.sample_type)
    chain: Chain = dataset.chain
    plain_chain = not (chain.tail or chain.mixture or chain.repeats != 1)
    pieces: dict[str, list[Any]] = {path: [] for path in wanted}
    for part in chain.parts if plain_chain else (chain,):
        known = _known(part, wanted, missing) if isinstance(part, Part) else None
        if known is None:
            known = _decoded(dataset, part, wanted)
        for path in wanted:
            pieces[path].append(known[path])
    return {path: joined(path, some) for path, some in pieces.items()}


def _known(part: Part, paths: list[str], missing: Missing) -> dict[str, Any] | None:
    """Fields of a part's samples from manifests; None where they are worked out or filtered."""
    stored = {path: stored_path(part.stages, path) for path in paths}
    if not all(stage.keeps_count for stage in part.stages) or None in stored.values():
        return None
    chosen = selection_of(part).asking(missing)
    return {path: chosen.column(str(there)) for path, there in stored.items()}


def _decoded(dataset: Any, part: Part | Chain, paths: list[str]) -> dict[str, Any]:
    """Fields of samples that are read for it."""
    chain = part if isinstance(part, Chain) else Chain((part,))
    values: dict[str, list[Any]] = {path: [] for path in paths}
    for sample in dataset.derived(chain):
        for path, some in values.items():
            some.append(plain(get_path(sample, path)))
    try:
        return {path: pa.array(some) for path, some in values.items()}
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise TypeError(f"values of {', '.join(paths)} are of several types: {error}") from error


def value_counts(dataset: Any, path: str, missing: Missing) -> dict[Any, int]:
    """See `Dataset.value_counts`."""
    column = columns(dataset, [path], missing)[path]
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    counted = pc.value_counts(column)
    found = zip(
        plain_list(counted.field("values")), counted.field("counts").to_pylist(), strict=True
    )
    counts: Counter[Any] = Counter()
    for value, n in found:
        counts[value] += n
    return dict(sorted(counts.items(), key=lambda one: (-one[1], str(one[0]))))


def aggregate(
    dataset: Any, wanted: Mapping[str, tuple[str | None, str]], by: str | None, missing: Missing
) -> dict[str, Any]:
    """See `Dataset.aggregate`."""
    for name, (path, kind) in wanted.items():
        if kind not in _FIGURES or (path is None and kind != "count"):
            listed = ", ".join(_FIGURES)
            raise ValueError(f"{name}={kind!r} is no figure of a field; there are {listed}")
    paths = [path for path, _ in wanted.values() if path is not None]
    if by in wanted:
        raise ValueError(f"{by!r} would be the name of the groups and of a figure")
    if by is None and not paths:
        return {name: len(dataset) for name in wanted}
    known = columns(dataset, [*paths, *([] if by is None else [by])], missing)
    if by is None:
        n = len(next(iter(known.values())))
        return {name: _figure(known, n, path, kind) for name, (path, kind) in wanted.items()}
    values, groups = _groups(known[by])
    found: dict[str, Any] = {by: values}
    for name, (path, kind) in wanted.items():
        found[name] = [
            _figure({} if path is None else {path: known[path].take(rows)}, len(rows), path, kind)
            for rows in groups
        ]
    return found


def _groups(column: Any) -> tuple[list[Any], list[Any]]:
    """The values of a column, sorted, and the rows of each."""
    if pa.types.is_nested(column.type):
        raise TypeError(f"values of the type {column.type} make no groups")
    coded = pc.dictionary_encode(_unsigned_zero(column), null_encoding="encode")
    codes = coded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    found, firsts = np.unique(codes[order], return_index=True)
    rows = np.split(order, firsts[1:].tolist())
    values = plain_list(coded.dictionary)
    labels = [values[code] for code in found.tolist()]
    by_value = sorted(range(len(labels)), key=lambda i: (labels[i] is None, _sortable(labels[i])))
    return [labels[i] for i in by_value], [pa.array(rows[i]) for i in by_value]


def _sortable(value: Any) -> Any:
    return 0 if value is None or value != value else value  # noqa: PLR0124 - NaN has no order


_FIGURES = ("count", "nulls", "min", "max", "sum", "mean", "std", "distinct")


def _figure(known: Mapping[str, Any], n: int, path: str | None, kind: str) -> Any:
    """One figure of a column; NaN is left out of it, as None is."""
    if path is None:
        return n
    column = known[path]
    if kind == "nulls":
        return column.null_count
    column = column.drop_null()
    if pa.types.is_floating(column.type) and kind != "count":
        column = column.filter(pc.invert(pc.is_nan(column)))
    match kind:
        case "count":
            return len(column)
        case "distinct":
            return _distinct(column)
        case "min" | "max":
            return _extreme(column, kind)
        case _:
            return _moment(column, kind, path)


def _unsigned_zero(column: Any) -> Any:
    """A column in which -0.0 is 0.0, which it is equal to."""
    return pc.add(column, 0.0) if pa.types.is_floating(column.type) else column


def _distinct(column: Any) -> int:
    if pa.types.is_nested(column.type):
        return len({repr(one) for one in plain_list(column)})
    return 0 if not len(column) else int(pc.count_distinct(_unsigned_zero(column)).as_py())


def _extreme(column: Any, kind: str) -> Any:
    if not len(column):
        return None
    if pa.types.is_nested(column.type):
        raise TypeError(f"values of the type {column.type} have no order")
    if pa.types.is_duration(column.type):
        return min(plain_list(column)) if kind == "min" else max(plain_list(column))
    (found,) = plain_list(pa.array([pc.min_max(column)[kind].as_py()], column.type))
    return found


def _moment(column: Any, kind: str, path: str) -> Any:
    """A sum, a mean or a sample's standard deviation; sums of integers are exact."""
    kinds = pa.types
    if kinds.is_null(column.type):  # nothing is there
        return 0 if kind == "sum" else None
    if kinds.is_boolean(column.type):
        column = column.cast(pa.int64())
    numeric = kinds.is_integer(column.type) or kinds.is_decimal(column.type)
    if not (numeric or kinds.is_floating(column.type)):
        raise TypeError(f"{path!r} holds {column.type}, of which there is no {kind}")
    n = len(column)
    if kind == "mean" and not n:
        return None
    if kind in ("sum", "mean"):
        total = sum(map(int, column.to_pylist())) if numeric else pc.sum(column).as_py() or 0.0
        return total if kind == "sum" else total / n
    if n < 2:
        return None
    return float(np.std(np.array(plain_list(column), np.float64), ddof=1))
