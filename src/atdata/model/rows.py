"""Entries and labels as rows of a catalogue, and back."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from atdata._exceptions import DamagedRecordError
from atdata.model.entry import DatasetEntry
from atdata.model.label import Label
from atdata.model.plain import dumps
from atdata.model.record import ENTRY, LABEL, Row, SearchText

LATEST = "latest"
"""The ref of labels without a version: one for each name."""


def entry_row(entry: DatasetEntry, refs: Iterable[str] = ()) -> Row:
    """An entry as a row, which is found by its CID, its schema and its parents.

    Examples:
        >>> row = entry_row(DatasetEntry("s", "atdata://local/schema/S@1.0.0", ["a.tar"]))
        >>> row.name, row.refs[1]
        ('s', 'schema:atdata://local/schema/S@1.0.0')
    """
    own = [f"cid:{entry.cid}", f"schema:{entry.schema_ref}"]
    own += [f"parent:{parent}" for parent in entry.parents]
    return Row(ENTRY, entry.name, entry.cid, dumps(entry.to_dict()), unique([*own, *refs]))


def read_entry(row: Row) -> DatasetEntry:
    """The entry that a row holds.

    Raises:
        DamagedRecordError: The row holds none.

    Examples:
        >>> entry = DatasetEntry("s", "atdata://local/schema/S@1.0.0", ["a.tar"])
        >>> read_entry(entry_row(entry)) == entry
        True
    """
    key = {"name": row.name, "cid": row.tag}  # what it is found by is what it is called
    return _read(row, lambda data: DatasetEntry.from_dict({**data, **key}))


def label_row(label: Label, *, refs: Iterable[str] = (), text: SearchText | None = None) -> Row:
    """A label as a row, which is found by the entry it stands for.

    Examples:
        >>> label_row(Label("mnist", "bafy")).refs
        ('entry:mnist@bafy', 'latest')
    """
    name, cid = label.target
    own = [f"entry:{name}@{cid}"] + ([LATEST] if label.version is None else [])
    body = dumps(label.to_dict())
    return Row(LABEL, label.name, label.version or "", body, unique([*own, *refs]), text)


def read_label(row: Row) -> Label:
    """The label that a row holds.

    Raises:
        DamagedRecordError: The row holds none.

    Examples:
        >>> read_label(label_row(Label("mnist", "bafy", "1.0.0"))).version
        '1.0.0'
    """
    key = {"name": row.name, "version": row.tag or None}
    return _read(row, lambda data: Label.from_dict({**data, **key}))


def unique(refs: Iterable[str]) -> tuple[str, ...]:
    """Refs without repetition, in their order.

    Examples:
        >>> unique(["b", "a", "b"])
        ('b', 'a')
    """
    return tuple(dict.fromkeys(refs))


def read_json(row: Row) -> dict[str, Any]:
    """The JSON object that a row holds.

    Raises:
        DamagedRecordError: It holds something else.

    Examples:
        >>> read_json(Row("lens", "a", "1.0.0", "[]"))
        Traceback (most recent call last):
        atdata._exceptions.DamagedRecordError: lens 'a@1.0.0' in the catalogue is damaged: ...
          Remove it, or restore it from a copy of the catalogue.
    """
    try:
        data = json.loads(row.body)
    except (ValueError, RecursionError) as error:
        raise _damaged(row, str(error)) from error
    if not isinstance(data, dict):
        raise _damaged(row, "not a JSON object")
    return cast("dict[str, Any]", data)


def _read[T](row: Row, read: Callable[[Mapping[str, Any]], T]) -> T:
    data = read_json(row)
    try:
        return read(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(row, f"{type(error).__name__}: {error}") from error


def _damaged(row: Row, reason: str) -> DamagedRecordError:
    return DamagedRecordError(row.kind, f"{row.name}@{row.tag}" if row.tag else row.name, reason)
