"""What a manifest's JSON says of its fields, checked and as predicates look at it."""

from collections.abc import Mapping, Sequence
from typing import Any

from atdata.manifest.bloom import Bloom
from atdata.manifest.document import Document, DocumentError, FieldPart
from atdata.manifest.kinds import from_json, is_kind, is_list, item_kind
from atdata.manifest.table import PLACE_TYPES
from atdata.predicate.facts import FieldFacts


def read_facts(document: Document) -> dict[str, FieldFacts]:
    """What is known of each field in all samples.

    Raises:
        DocumentError: It contradicts itself.
    """
    found: dict[str, FieldFacts] = {}
    for path, part in document.fields.items():
        if path in PLACE_TYPES or not path or "\0" in path or len(path) > 10_000:
            raise DocumentError(f"a field is called {path[:40]!r}")
        if not is_kind(part.kind):
            raise DocumentError(f"field {path!r} is of the unknown kind {part.kind[:40]!r}")
        try:
            found[path] = _facts(part, document.num_samples)
            _check_groups(part, document.samples.row_groups)
        except (ValueError, OverflowError) as error:
            raise DocumentError(f"what it says of field {path!r} cannot be: {error}") from error
    return found


def group_facts(part: FieldPart, number: int, n: int) -> FieldFacts | None:
    """What is known of a field in one row group; None if nothing more than of all samples."""
    if part.groups is None:
        return None
    nulls, nans, low, high = part.groups[number]
    item = item_kind(part.kind)
    return FieldFacts(
        n, nulls, nans, *_extremes(item, low, high), is_list=is_list(part.kind), kind=part.kind
    )


def _facts(part: FieldPart, n: int) -> FieldFacts:
    item = item_kind(part.kind)
    _check_counts(part.nulls, part.nans, n)
    low, high = _extremes(item, part.min, part.max)
    values: frozenset[Any] | None = None
    if part.values is not None:
        values = _listed(item, part.values)
        if not is_list(part.kind) and sum(count for _, count in part.values) != n - part.nulls:
            raise ValueError("its values are not as many as its rows")
        if values and (low, high) != (min(values), max(values)):
            raise ValueError("its values are not those between the smallest and the largest")
    bloom = None
    if part.bloom is not None:
        if item not in ("str", "int"):
            raise ValueError(f"values of kind {item} have no Bloom filter")
        bloom = Bloom.from_base64(item, part.bloom.hashes, part.bloom.bits)
    return FieldFacts(
        n, part.nulls, part.nans, low, high, values, bloom, is_list(part.kind), part.kind
    )


def _check_counts(nulls: int, nans: int, n: int) -> None:
    if nulls < 0 or nans < 0 or nulls + nans > n:
        raise ValueError(f"{nulls} nulls and {nans} NaNs in {n} rows")


def _extremes(item: str, low: object, high: object) -> tuple[Any, Any]:
    smallest = None if low is None else from_json(item, low)
    largest = None if high is None else from_json(item, high)
    if smallest is not None and largest is not None and not smallest <= largest:
        raise ValueError("its smallest value is larger than its largest")
    return smallest, largest


def _listed(item: str, pairs: Sequence[tuple[Any, int]]) -> frozenset[Any]:
    if item not in ("str", "int", "bool"):
        raise ValueError(f"values of kind {item} are not listed")
    values = frozenset(from_json(item, value) for value, _ in pairs)
    if len(values) != len(pairs) or any(count < 1 for _, count in pairs):
        raise ValueError("a value is listed twice, or never occurs")
    return values


def _check_groups(part: FieldPart, rows: Sequence[int]) -> None:
    if part.groups is None:
        return
    if len(part.groups) != len(rows):
        raise ValueError(f"{len(part.groups)} row groups of {len(rows)}")
    for n, (nulls, nans, low, high) in zip(rows, part.groups, strict=True):
        _check_counts(nulls, nans, n)
        _extremes(item_kind(part.kind), low, high)


def value_counts(parts: Mapping[str, FieldPart], path: str) -> dict[Any, int] | None:
    """How often each value of a field, or item of its lists, occurs; None where nobody knows."""
    part = parts.get(path)
    if part is None or part.values is None:
        return None
    return {from_json(item_kind(part.kind), value): count for value, count in part.values}
