"""SQL over what manifests hold, by DuckDB."""

from dataclasses import is_dataclass
from typing import Any

import pyarrow as pa

from atdata._lazy import require
from atdata.dataset._answers import columns, locations
from atdata.manifest.fields import plan_fields
from atdata.pipeline.chain import Chain, leaves
from atdata.pipeline.chosen import Missing
from atdata.pipeline.paths import stored_path
from atdata.pipeline.pushing import selection_of
from atdata.sample.dynamic import DictSample


def answer(dataset: Any, query: str, missing: Missing) -> Any:
    """See `Dataset.sql`.

    Integers of both signs beyond 64 bits are HUGEINT in the query. What a query gives as HUGEINT,
    as the sum of any integers, comes as `decimal128(38, 0)`, in lists too: Arrow has no integers
    so wide. Its values are a `Decimal` each in Python, exact up to 38 digits.
    """
    duckdb = require("duckdb", extra="duckdb")
    settings = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    with duckdb.connect(":memory:", config=settings) as connection:
        held = table(dataset, missing)
        columns = ", ".join(_column(duckdb, one.name, one.type) for one in held.schema)
        connection.from_arrow(held).project(columns).create_view("this")
        return connection.sql(query).to_arrow_table()


def _column(duckdb: Any, name: str, kind: Any) -> str:
    """A column in SQL; integers that Arrow holds as decimals are integers there."""
    quoted = str(duckdb.ColumnExpression(name))
    if pa.types.is_list(kind) and pa.types.is_decimal(kind.value_type):
        return f"{quoted}::HUGEINT[] AS {quoted}"
    return f"{quoted}::HUGEINT AS {quoted}" if pa.types.is_decimal(kind) else quoted


def table(dataset: Any, missing: Missing) -> Any:
    """The samples' places, and all fields that manifests may hold."""
    places = locations(dataset)
    held = columns(dataset, _paths(dataset, missing), missing)
    return pa.table(
        {
            "__key__": pa.array([one.key for one in places], pa.string()),
            "__shard__": pa.array([one.shard for one in places], pa.string()),
            "__offset__": pa.array([one.offset for one in places], pa.int64()),
            "__size__": pa.array([one.size for one in places], pa.int64()),
            **held,
        }
    )


def _paths(dataset: Any, missing: Missing) -> list[str]:
    """The fields of the samples that all manifests hold, in their order."""
    chain: Chain = dataset.chain
    kind: Any = dataset.sample_type
    if kind is not DictSample and not is_dataclass(kind):
        return []
    listed = None if kind is DictSample else [one.path for one in plan_fields(kind).columns]
    for part in leaves(chain):
        for sheet in selection_of(part).asking(missing).sheets():
            if sheet.manifest is None:
                continue  # its samples are read for what the others hold
            if listed is None:
                listed = list(sheet.manifest.columns)
            listed = [
                one for one in listed or () if stored_path(part.stages, one) in sheet.believed
            ]
    return listed or []
