"""Choosing samples by what they hold, step by step, before any of them is read."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any

import numpy as np
import pyarrow as pa

from atdata._exceptions import AtdataError, printable
from atdata._typing import Int64Array
from atdata.pipeline.chain import Part
from atdata.pipeline.chosen import Chosen, Missing, Places, Table
from atdata.pipeline.order import permuted
from atdata.pipeline.paths import stored_path
from atdata.pipeline.policy import Ledger
from atdata.pipeline.schedule import Schedule
from atdata.pipeline.sheets import Sheet, SheetTable, sheets_of
from atdata.pipeline.stages import Only, Stage
from atdata.pipeline.values import joined
from atdata.predicate import Predicate
from atdata.predicate.arrow import pc


@dataclass(frozen=True, slots=True)
class Where:
    """Keeps the samples of which a predicate is true."""

    predicate: Predicate
    asks: bool = True

    def __str__(self) -> str:
        return f"where({printable(self.predicate, 200)})"


@dataclass(frozen=True, slots=True)
class InFrame:
    """Keeps the samples that a function marks in a `pandas.DataFrame` of a shard's manifest."""

    function: Callable[[Any], Any]
    asks: bool = True

    def __str__(self) -> str:
        return f"where({getattr(self.function, '__name__', 'function')})"


@dataclass(frozen=True, slots=True)
class Passing:
    """Keeps the samples that stages let pass; they are read for it."""

    stages: tuple[Stage, ...]
    asks: bool = True

    def __str__(self) -> str:
        return f"passing({len(self.stages)} stages)"


@dataclass(frozen=True, slots=True)
class Slice:
    """Passes over some samples, then keeps some."""

    skip: int
    take: int | None
    asks: bool = False

    def __str__(self) -> str:
        skip = f"skip({self.skip})" if self.skip else ""
        take = "" if self.take is None else f"take({self.take})"
        return ".".join(filter(None, (skip, take)))


@dataclass(frozen=True, slots=True)
class Sorted:
    """Puts the samples into the order of fields; what has no value comes last."""

    by: tuple[tuple[str, bool], ...]
    asks: bool = True

    def __str__(self) -> str:
        names = ", ".join(f"{path} desc" if down else path for path, down in self.by)
        return f"order_by({names})"


@dataclass(frozen=True, slots=True)
class Dealt:
    """Keeps one share of the samples, which are dealt out at random.

    Attributes:
        weights: How large the shares are.
        number: Which of them is kept.
        by: A field of whose values each share gets the same proportions.
        seed: Makes the dealing reproducible.
    """

    weights: tuple[float, ...]
    number: int
    by: str | None
    seed: int

    @property
    def asks(self) -> bool:
        """Whether it has to know a field."""
        return self.by is not None

    def __str__(self) -> str:
        by = "" if self.by is None else f", by={self.by}"
        return f"split({self.number} of {len(self.weights)}{by}, seed={self.seed})"


type Step = Where | InFrame | Passing | Slice | Sorted | Dealt


class Selection:
    """Rows of a part, chosen by steps; worked out once, when it is first asked.

    Args:
        part: The part, without stages and without a choice of its own.
        steps: What is done, in order.
        missing: What to do about a shard without a manifest that can be used.
    """

    def __init__(self, part: Part, steps: Sequence[Step] = (), missing: Missing = "error") -> None:
        self.part = part
        self.steps = tuple(steps)
        self.missing: Missing = missing
        self._sheets: list[Sheet] | None = None
        self._errors: list[AtdataError] = []
        self._rows: tuple[list[Int64Array], Int64Array | None] | None = None
        self._chosen: Chosen | None = None
        self._lock = RLock()

    def then(self, step: Step, missing: Missing | None = None) -> "Selection":
        """The same with one step more."""
        return Selection(self.part, (*self.steps, step), missing or self.missing)

    def asking(self, missing: Missing) -> "Selection":
        """The same rows, about which something is asked."""
        return self.then(Slice(0, None, asks=True), missing)

    def column(self, path: str) -> Any:
        """The values of a field in all rows, in their order, as a `pyarrow.Array`."""
        rows, order = self.rows()
        column = _column(self.sheets(), rows, path)
        return column if order is None else column.take(pa.array(order))

    def places(self, shard_id: str, rows: Int64Array) -> Places | None:
        """Where rows of a shard lie, if its manifest was read."""
        for sheet in self.sheets():
            if sheet.shard_id == shard_id:
                return sheet.places(rows)
        return None

    def table(self, shard_id: str, stages: Sequence[Any]) -> Table | None:
        """What makes samples that have gone through stages, if no sample need be read for it."""
        if not stages or not isinstance(stages[-1], Only):
            return None
        *before, only = stages
        if not all(stage.keeps_count for stage in before):
            return None
        stored = {path: stored_path(before, path) for path in only.paths}
        sheet = next((one for one in self.sheets() if one.shard_id == shard_id), None)
        told = {path: there for path, there in stored.items() if there is not None}
        if sheet is None or len(told) < len(stored) or not all(map(sheet.tells, told.values())):
            return None
        return SheetTable(sheet, told)

    def read_as(self, **options: Any) -> "Selection":
        """The same rows, with what has to be read for them read with other options."""
        return Selection(replace(self.part, **options), self.steps, self.missing)

    @property
    def words(self) -> list[str]:
        """What it does, step by step."""
        rows = self.part.rows
        first = (
            []
            if rows is None
            else [Slice(rows.start, len(rows) if rows.stop < sys.maxsize else None)]
        )
        return [text for step in (*first, *self.steps) if (text := str(step))]

    @property
    def is_ordered(self) -> bool:
        """Whether rows are put into an order of their own."""
        return any(isinstance(step, Sorted) for step in self.steps)

    def sheets(self) -> list[Sheet]:
        """What is known of each shard of the part."""
        with self._lock:
            if self._sheets is None:
                raises = self.part.on_error == "raise"
                ledger = Ledger("raise" if raises else self._errors.append)
                asks = any(step.asks for step in self.steps)
                self._sheets = sheets_of(self.part, self.missing, ledger, fields=asks)
            return self._sheets

    def chosen(self) -> Chosen:
        """The rows that are left of each shard, and their order."""
        with self._lock:
            if self._chosen is None:
                rows, order = self.rows()
                found = [
                    sheet.chosen(some)
                    for sheet, some in zip(self.sheets(), rows, strict=True)
                    if len(some)
                ]
                self._chosen = Chosen(found, order, tuple(self._errors))
            return self._chosen

    def rows(self) -> tuple[list[Int64Array], Int64Array | None]:
        """The rows that are left of each shard, and for each place the number of its row."""
        with self._lock:
            if self._rows is None:
                self._rows = self._found()
            return self._rows

    def _found(self) -> tuple[list[Int64Array], Int64Array | None]:
        sheets = self.sheets()
        rows = [np.arange(sheet.n, dtype=np.int64) for sheet in sheets]
        order: Int64Array | None = None
        if self.part.rows is not None:
            window = self.part.rows
            rows, order = _sliced(rows, None, window.start, window.stop - window.start)
        for step in self.steps:
            match step:
                case Where(predicate=predicate):
                    kept = _each(lambda s, some: s.where(predicate, some), sheets, rows)
                    rows, order = _kept(rows, order, kept)
                case InFrame(function=function):
                    kept = [
                        _framed(s, function, some) for s, some in zip(sheets, rows, strict=True)
                    ]
                    rows, order = _kept(rows, order, kept)
                case Passing(stages=stages):
                    kept = [s.passing(stages, some) for s, some in zip(sheets, rows, strict=True)]
                    rows, order = _kept(rows, order, kept)
                case Slice(skip=skip, take=take):
                    rows, order = _sliced(rows, order, skip, take)
                case Sorted(by=by):
                    keys = {path: _column(sheets, rows, path) for path, _ in by}
                    by_value = _sorted(keys, by, order)
                    order = by_value if order is None else order[by_value]
                case Dealt():
                    labels = None if step.by is None else _column(sheets, rows, step.by)
                    mine = _dealt(step, sum(map(len, rows)), labels)
                    rows, order = _kept(rows, order, _masked(rows, mine))
        return rows, order

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the description with what was found out, so that all read the same rows."""
        return self.__dict__ | {"_sheets": None, "_rows": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_lock": RLock()})


_AT_ONCE = 16


def _each[T](
    ask: Callable[[Sheet, Int64Array], T], sheets: Sequence[Sheet], rows: Sequence[Int64Array]
) -> list[T]:
    """Ask each shard; several at once where that means asking a server."""
    away = [one.shard_id for one in sheets if one.is_away]
    if len(away) < 2:
        return [ask(sheet, some) for sheet, some in zip(sheets, rows, strict=True)]
    with ThreadPoolExecutor(min(_AT_ONCE, len(away)), "atdata-ask") as threads:
        return list(threads.map(ask, sheets, rows))


def _column(sheets: Sequence[Sheet], rows: Sequence[Int64Array], path: str) -> Any:
    """A field's values in all rows that are left, as one array."""
    found = _each(lambda s, some: s.column(path, some) if len(some) else None, sheets, rows)
    return joined(path, [piece for piece in found if piece is not None])


def _framed(sheet: Sheet, function: Callable[[Any], Any], rows: Int64Array) -> Int64Array:
    """The rows that a function marks in a table of the manifest."""
    if sheet.n == 0:
        return rows
    if sheet.manifest is None:
        raise TypeError(
            "a function on a DataFrame is asked about manifests, which some shards do not have\n"
            "  Ask with fields instead: Q = ds.fields; ds.where(Q.score > 0.9)"
        )
    columns = {path: sheet.column(path, rows) for path in sheet.manifest.columns}
    frame = pa.table(columns).to_pandas()
    given = function(frame)
    if isinstance(given, type(frame.index.to_series())) and not given.index.equals(frame.index):
        raise TypeError("the function has to keep the rows of the DataFrame in their order")
    marked = np.asarray(given)
    if marked.dtype != np.bool_ or marked.shape != (len(rows),):
        raise TypeError(
            f"the function gave {marked.dtype} of shape {marked.shape} for {len(rows)} rows; "
            "it has to give a bool for each"
        )
    return rows[marked]


def _ends(rows: Sequence[Int64Array]) -> Int64Array:
    return np.cumsum([0, *map(len, rows)], dtype=np.int64)


def _masked(rows: Sequence[Int64Array], mask: Any) -> list[Int64Array]:
    """The rows that a mask over all of them leaves."""
    ends = _ends(rows).tolist()
    return [some[mask[a:b]] for some, a, b in zip(rows, ends, ends[1:], strict=False)]


def _kept(
    before: Sequence[Int64Array], order: Int64Array | None, after: list[Int64Array]
) -> tuple[list[Int64Array], Int64Array | None]:
    """Fewer rows of each shard, and the order of those that are left."""
    if order is None:
        return after, None
    masks = [np.isin(a, b, assume_unique=True) for a, b in zip(before, after, strict=True)]
    mask = np.concatenate([np.zeros(0, np.bool_), *masks])
    number = np.cumsum(mask) - 1
    return after, number[order[mask[order]]]


def _sliced(
    rows: Sequence[Int64Array], order: Int64Array | None, skip: int, take: int | None
) -> tuple[list[Int64Array], Int64Array | None]:
    n = sum(map(len, rows))
    stop = n if take is None else min(n, skip + take)
    mask = np.zeros(n, np.bool_)
    mask[slice(skip, stop) if order is None else order[skip:stop]] = True
    after = _masked(rows, mask)
    return (after, None) if order is None else _kept(rows, order, after)


def _sorted(
    keys: dict[str, Any], by: Sequence[tuple[str, bool]], order: Int64Array | None
) -> Int64Array:
    """The places in the order of some fields; equal ones stay as they are."""
    names = {path: f"{number}" for number, path in enumerate(keys)}
    columns = {
        names[path]: column if order is None else column.take(pa.array(order))
        for path, column in keys.items()
    }
    wanted = [(names[path], "descending" if down else "ascending") for path, down in by]
    try:
        found = pc.sort_indices(pa.table(columns), sort_keys=wanted)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        shown = ", ".join(f"{path}: {column.type}" for path, column in keys.items())
        raise TypeError(f"these values have no order: {shown}") from error
    places: Int64Array = found.to_numpy().astype(np.int64)
    return places


def _dealt(deal: Dealt, n: int, labels: Any) -> Any:
    """A mask of the rows of one share.

    Rows are put into a random order, then sorted by their label, and dealt out in turn. So each
    share gets of each label as many as its weight says, but for one.
    """
    order = permuted(np.arange(n, dtype=np.int64), n, deal.seed, 3)
    if labels is not None and n:
        order = order[_sorted({"label": labels}, (("label", False),), order)]
    members, _ = Schedule(deal.weights).members(np.arange(n, dtype=np.int64))
    mask = np.zeros(n, np.bool_)
    mask[order[members == deal.number]] = True
    return mask
