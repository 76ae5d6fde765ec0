"""`atdata add`: catalogue shards that are there already."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from atdata._exceptions import printable
from atdata.cli.app import print_json
from atdata.cli.catalogue import argument, opened, reference
from atdata.cli.options import Place
from atdata.cli.places import sources_of
from atdata.cli.show import document
from atdata.dataset import Dataset
from atdata.model.names import check_version
from atdata.model.schema_ref import SchemaRef
from atdata.sample.dynamic import DictSample


def add(
    name: str,
    shards: Sequence[str],
    place: Place,
    *,
    copy: bool,
    checksums: bool,
    schema: str | None,
    said: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Catalogue shards; the catalogue is made if it is not there.

    Raises:
        AtdataError: A shard cannot be read, or does not fit the schema.
        RecordExistsError: The version is there already.
        typer.BadParameter: The arguments do not go together.
    """
    if reference(name).version is not None:
        raise typer.BadParameter("a version is given by --version, and not behind the name")
    if said["version"] is not None:
        argument(check_version, said["version"])
    if schema is not None:
        argument(SchemaRef.parse, schema)
    first, *rest = sources_of(shards)
    if rest:
        raise typer.BadParameter("a dataset's shards are files or addresses, not some of each")
    with opened(place, makes=True) as index:
        sample_type = DictSample if schema is None else index.get_schema_type(schema)
        ds: Dataset[Any] = Dataset(first, sample_type=sample_type)
        if schema is not None:
            ds.head(1)  # a schema that does not fit is found out now, and not by every reader
        entry = index.insert_dataset(
            ds, name=name, schema_ref=schema, copy=copy, checksums=checksums, **said
        )
    if as_json:
        print_json(document(entry))
    else:
        shown = name if entry.version is None else f"{name}@{entry.version}"
        count = f"{len(entry.shards)} shard{'s' * (len(entry.shards) != 1)}"
        typer.echo(f"{printable(shown)}  {entry.n_samples} samples in {count}  {entry.cid}")
