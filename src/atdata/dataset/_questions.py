"""From a question about a dataset to a chain that reads the answer, or to the answer itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from atdata._exceptions import ShardError, printable, shard_name
from atdata._typing import Int64Array
from atdata.dataset import _answers, _sql
from atdata.dataset._answers import locations
from atdata.dataset._explain import explained
from atdata.manifest.locations import SampleLocation
from atdata.pipeline.access import Positions, Segment, segment_of
from atdata.pipeline.chain import Chain, Part, with_stage
from atdata.pipeline.chosen import Missing
from atdata.pipeline.paths import stored_path
from atdata.pipeline.pushing import selection_of, settled, with_step, with_where
from atdata.pipeline.selection import Dealt, InFrame, Slice, Sorted
from atdata.pipeline.sheets import Sheet
from atdata.pipeline.stages import Filter, Only
from atdata.predicate import F, Field, Predicate, check, predicate_of

__all__ = ["explained", "locations"]

_MISSING = ("error", "scan")


def where(dataset: Any, questions: Sequence[object], missing: Missing) -> Chain:
    """See `Dataset.where`."""
    _check_missing(missing)
    chain: Chain = dataset.chain
    for question in questions:
        if isinstance(question, Predicate | Field) or not callable(question):
            predicate = predicate_of(question)
            check(predicate, dataset.sample_type)
            for one in predicate.conjuncts():
                chain = with_where(chain, one, missing) or with_stage(chain, Filter(one.test))
            continue
        part = only_part(chain, "where with a function")
        if part.stages:
            raise TypeError("a function on a DataFrame is asked before filter, map and as_type")
        chain = Chain((with_step(part, InFrame(question), missing),))
    return chain


def windowed(chain: Chain, skip: int, take: int | None) -> Chain | None:
    """Some of the samples that were chosen; None where that cannot be known beforehand."""
    part = chain.parts[0]
    simple = len(chain.parts) == 1 and chain.repeats == 1 and not chain.tail
    if not simple or not isinstance(part, Part) or part.choice is None:
        return None
    if part.on_error != "raise":
        return None  # what is skipped does not count
    return Chain((with_step(settled(part), Slice(skip, take)),))


def only(dataset: Any, names: Sequence[object]) -> Chain:
    """See `Dataset.select`."""
    paths = tuple(dict.fromkeys(map(path_of, names)))
    for path in paths:
        check(F[path].is_null(), dataset.sample_type)
    chain: Chain = dataset.chain
    parts = [_choosing(part) if isinstance(part, Part) else part for part in chain.parts]
    return with_stage(Chain(tuple(parts), chain.repeats, chain.tail, chain.mixture), Only(paths))


def at_places(dataset: Any, places: Sequence[SampleLocation]) -> list[Any]:
    """The samples at some places, in that order.

    Raises:
        KeyError: The dataset has no such shard.
        ShardError: No sample lies there.
    """
    part = only_part(dataset.chain, "select with places")
    chosen = selection_of(part).asking("scan")
    sheets = {one.shard_id: one for one in chosen.sheets()}
    here = dict(zip(sheets, chosen.rows()[0], strict=True))
    unknown = [one.shard for one in places if one.shard not in sheets]
    if unknown:
        raise KeyError(f"Shard not found: {printable(shard_name(unknown[0]))}")
    segments: list[Segment] = []
    number: dict[tuple[str, int], int] = {}
    for shard_id in dict.fromkeys(one.shard for one in places):
        offsets = sorted({one.offset for one in places if one.shard == shard_id})
        rows = rows_at(sheets[shard_id], offsets)
        if not np.isin(rows, here[shard_id]).all():
            shown = printable(shard_name(shard_id))
            raise IndexError(f"a sample of {shown} that is asked for is not in this dataset")
        segments.append(segment_of(part, sheets[shard_id].chosen(rows)))
        number.update({(shard_id, at): len(number) + i for i, at in enumerate(offsets)})
    return Positions(segments).many([number[one.shard, one.offset] for one in places])


def rows_at(sheet: Sheet, offsets: Sequence[int]) -> Int64Array:
    """The rows whose payloads begin at some offsets."""
    at = sheet.offsets()
    rows = np.searchsorted(at, offsets)
    for offset, row in zip(offsets, rows.tolist(), strict=True):
        if row == len(at) or at[row] != offset:
            raise ShardError(
                sheet.shard_id,
                "no sample begins there",
                offset=offset,
                hint="Ask with query again: the shard is another than the one that was asked.",
            )
    found: Int64Array = rows.astype(np.int64)
    return found


def _choosing(part: Part) -> Part:
    """A part that looks at manifests, where there are any, before it reads samples."""
    if part.choice is not None:
        return part
    return with_step(part, Slice(0, None, asks=True), "scan")


def order_by(
    dataset: Any, fields: Sequence[object], descending: bool | Sequence[bool], missing: Missing
) -> Chain:
    """See `Dataset.order_by`."""
    _check_missing(missing)
    if not fields:
        raise TypeError("order_by needs a field")
    down = [descending] * len(fields) if isinstance(descending, bool) else list(descending)
    if len(down) != len(fields):
        raise ValueError(f"descending has {len(down)} values for {len(fields)} fields")
    part = only_part(dataset.chain, "order_by")
    by = [(_stored(dataset, part, one), desc) for one, desc in zip(fields, down, strict=True)]
    return Chain((with_step(part, Sorted(tuple(by)), missing),))


def split(
    dataset: Any, shares: Mapping[str, float], by: object, seed: int, missing: Missing
) -> dict[str, Chain]:
    """See `Dataset.split`."""
    _check_missing(missing)
    weights = tuple(float(weight) for weight in shares.values())
    if not weights or not all(0 < weight < float("inf") for weight in weights):
        raise ValueError(f"each share needs a weight above 0, not {dict(shares)}")
    part = settled(only_part(dataset.chain, "split"))
    path = None if by is None else _stored(dataset, part, by)
    return {
        name: Chain((with_step(part, Dealt(weights, number, path, seed), missing),))
        for number, name in enumerate(shares)
    }


def value_counts(dataset: Any, field: object, missing: Missing) -> dict[Any, int]:
    """See `Dataset.value_counts`."""
    _check_missing(missing)
    return _answers.value_counts(dataset, path_of(field), missing)


def aggregate(
    dataset: Any, wanted: Mapping[str, Any], by: object, missing: Missing
) -> dict[str, Any]:
    """See `Dataset.aggregate`."""
    _check_missing(missing)
    figures = {
        name: (None, one) if isinstance(one, str) else (path_of(one[0]), str(one[1]))
        for name, one in wanted.items()
    }
    return _answers.aggregate(dataset, figures, None if by is None else path_of(by), missing)


def sql(dataset: Any, query: str, missing: Missing) -> Any:
    """See `Dataset.sql`."""
    _check_missing(missing)
    return _sql.answer(dataset, query, missing)


def _check_missing(missing: Missing) -> None:
    if missing not in _MISSING:
        raise ValueError(f"missing is {missing!r}; it must be 'error' or 'scan'")


def _stored(dataset: Any, part: Part, field: object) -> str:
    """Under which path shards hold a field.

    Raises:
        TypeError: A stage works it out.
    """
    path = path_of(field)
    check(F[path].is_null(), dataset.sample_type)
    found = stored_path(part.stages, path)
    if found is None:
        raise TypeError(
            f"{path!r} is worked out while samples are read, so they cannot be ordered or split "
            "by it beforehand\n  Do it by a field that is stored, before map and as_type."
        )
    return found


def path_of(field: object) -> str:
    """The dotted path of a field that is given by name or as itself.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(field, str):
        return field
    if isinstance(field, Field):
        paths = field.is_null().fields
        if len(paths) == 1 and field.is_null() == F[next(iter(paths))].is_null():
            return next(iter(paths))
    raise TypeError(f"a field is given by its name or as ds.fields has it, not {field!r}")


def only_part(chain: Chain, what: str) -> Part:
    """The one part of a chain that has no other.

    Raises:
        TypeError: It has several, or something is done to them together.
    """
    part = chain.parts[0] if len(chain.parts) == 1 else None
    if not isinstance(part, Part) or chain.tail or chain.mixture or chain.repeats != 1:
        raise TypeError(
            f"{what} needs a dataset of one source, before repeat, concat and mix\n"
            "  Do it with each of them first, or write them as one dataset."
        )
    return part
