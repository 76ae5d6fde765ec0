"""Places of samples, and fields of theirs, as a table, as JSON, or as a Parquet file."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from atdata._exceptions import printable, shard_name
from atdata.cli.app import complain, print_json
from atdata.cli.manifest_show import json_plain
from atdata.cli.options import work
from atdata.cli.tables import print_plain
from atdata.cli.values import text_value
from atdata.manifest.locations import SampleLocation
from atdata.model.shard import SIDECARS
from atdata.transport.file import atomic_write

_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class Answer:
    """Samples that were found.

    Attributes:
        places: Where they lie; as many as were asked for.
        fields: Their fields that were asked for, each as an Arrow array.
        n: How many were found.
    """

    places: Sequence[SampleLocation]
    fields: Mapping[str, Any]
    n: int

    def values(self) -> list[list[Any]]:
        """The values of each field."""
        return [
            [int(one) if isinstance(one, Decimal) else one for one in column.to_pylist()]
            for column in self.fields.values()
        ]


def print_answer(answer: Answer, *, as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        print_json(_document(answer))
        return
    if not answer.n:
        complain("no sample fits")
        return
    shards = {one: printable(shard_name(one), 500) for one in {p.shard for p in answer.places}}
    columns = [
        [shards[one.shard] for one in answer.places],
        [one.key if one.key.isprintable() else printable(one.key, 500) for one in answer.places],
        [str(one.offset) for one in answer.places],
        [str(one.size) for one in answer.places],
        *([text_value(value) for value in column] for column in answer.values()),
    ]
    head = ["shard", "key", "offset", "size", *map(text_value, answer.fields)]
    lines = [head, *map(list, zip(*columns, strict=True))]
    if sys.stdout.isatty():
        work("terminal").print_table(lines)
    else:
        print_plain(lines)
    more = answer.n - len(answer.places)
    if more:
        complain(f"and {more} more: --limit {answer.n}, --json, or --parquet FILE gives all")


def _document(answer: Answer) -> dict[str, Any]:
    samples: list[dict[str, Any]] = [
        {"shard": one.shard, "key": one.key, "offset": one.offset, "size": one.size}
        for one in answer.places
    ]
    if answer.fields:
        for sample, values in zip(samples, zip(*answer.values(), strict=True), strict=True):
            sample["fields"] = dict(zip(answer.fields, map(json_plain, values), strict=True))
    return {"samples": samples, "n_samples": answer.n}


def write_parquet(answer: Answer, path: Path, *, as_json: bool) -> None:
    """Write what was found; the file appears whole, or not at all.

    The columns are `__shard__`, `__key__`, `__offset__` and `__size__`, and the fields.

    Raises:
        typer.BadParameter: Something else is there, or the name is that of a manifest.
    """
    if path.name.endswith(SIDECARS):
        raise typer.BadParameter(f"{printable(path)} would be taken for a manifest")
    if path.exists() and not _is_parquet(path):
        raise typer.BadParameter(f"{printable(path)} is there, and is no Parquet file")
    places = answer.places
    table = pa.table(
        {
            "__shard__": pa.array([one.shard for one in places], pa.string()),
            "__key__": pa.array([one.key for one in places], pa.string()),
            "__offset__": pa.array([one.offset for one in places], pa.int64()),
            "__size__": pa.array([one.size for one in places], pa.int64()),
            **answer.fields,
        }
    )
    with atomic_write(path) as file:
        pq.write_table(table, file)
    if as_json:
        print_json({"file": str(path), "n_samples": len(places)})
    else:
        typer.echo(f"{len(places)} samples in {printable(path, 500)}")


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC
