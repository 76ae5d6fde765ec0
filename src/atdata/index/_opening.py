"""From an entry to a dataset that is ready to be read, as the type that is wanted."""

from typing import Any

from atdata._exceptions import LensNotFoundError, SchemaError
from atdata._protocols import AbstractDataStore
from atdata.dataset import Dataset
from atdata.index._datasets import source_behind
from atdata.index._schemas import find, is_untyped
from atdata.lens import LensNetwork
from atdata.model.entry import DatasetEntry
from atdata.model.schema import Schema
from atdata.repository import Mounted
from atdata.sample.dynamic import DictSample
from atdata.schema.build import type_of
from atdata.schema.diff import diff
from atdata.schema.infer import schema_of


def open_entry(
    mounted: Mounted,
    entry: DatasetEntry,
    sample_type: type[Any] | None,
    data_store: AbstractDataStore | None,
) -> Dataset[Any]:
    """The dataset of an entry as its repository keeps it, seen as a type.

    Raises:
        LensNotFoundError: No lens leads from what is stored to the type.
    """
    if not entry.shards:
        raise ValueError(f"dataset {entry.name!r} has no shards")
    store = mounted.repository.store if data_store is None else data_store
    version = f"@{entry.version}" if entry.version else ""
    source = source_behind(store, entry.shards, f"@{mounted.name}/{entry.name}{version}")
    if is_untyped(entry.schema_ref) or sample_type is DictSample:
        return Dataset(source, sample_type=sample_type or DictSample)
    stored = find(mounted.provider, entry.schema_ref, repo=mounted.name)
    if sample_type is None:
        return Dataset(source, sample_type=type_of(stored))
    wanted = _schema_of(sample_type)
    if wanted is not None and wanted.cid == stored.cid:
        return Dataset(source, sample_type=sample_type)
    known = _known(stored)
    if known is not None:
        try:
            return Dataset(source, sample_type=known).as_type(sample_type)
        except LensNotFoundError:
            pass  # what is stored may be read as the type without a lens
    if wanted is not None and diff(stored, wanted).bump != "major":
        return Dataset(source, sample_type=sample_type)
    return Dataset(source, sample_type=type_of(stored)).as_type(sample_type)


def _known(stored: Schema) -> type[Any] | None:
    """The class of this program that has the stored schema and that lenses lead from."""
    for kind in LensNetwork().sources():
        schema = _schema_of(kind) if kind.__name__ == stored.name else None
        if schema is not None and schema.cid == stored.cid:
            return kind
    return None


def _schema_of(kind: type[Any]) -> Schema | None:
    try:
        return schema_of(kind)
    except (SchemaError, TypeError, ValueError):
        return None  # no schema describes it, so it is not the one that is stored
