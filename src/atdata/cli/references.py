"""From references to the shards of the datasets that they name."""

from collections.abc import Sequence
from typing import Any

from atdata.cli.catalogue import argument, opened, reference
from atdata.cli.options import Place
from atdata.cli.places import Found
from atdata.index import Index
from atdata.model.schema_ref import SchemaRef
from atdata.sample.dynamic import DictSample


def find(references: Sequence[str], place: Place) -> list[Found]:
    """The shards of datasets, with their schemas.

    Raises:
        RecordNotFoundError: There is no such dataset, version or schema.
        typer.BadParameter: A reference names nothing.
    """
    for text in references:
        reference(text)
    with opened(place) as index:
        return [_found(index, text) for text in references]


def sample_type(schema: str, place: Place) -> type[Any]:
    """The sample type that a schema of the catalogue describes.

    Raises:
        RecordNotFoundError: There is no such schema.
        typer.BadParameter: It is no reference to one.
    """
    argument(SchemaRef.parse, schema)
    with opened(place) as index:
        return index.get_schema_type(schema)


def _found(index: Index, text: str) -> Found:
    ds = index.open(text)
    if ds.sample_type is DictSample:
        return Found(ds.source)
    ref = index.get_dataset(text).schema_ref
    return Found(ds.source, ds.sample_type, index.get_schema_record(ref), ref)
